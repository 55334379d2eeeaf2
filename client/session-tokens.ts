/** The tokens of `session.ts`: accepted, stored, refreshed, and shared with the other tabs. */

import { claimsOf, globals, valueOr } from './session-http';
import type { Api, EndCode, Exclusively, SessionRequestError, TokenAnswer } from './session-http';

type Origin = 'this tab' | 'another tab';

export type SessionEvent =
  /**
   * A user signed in: here, in another tab, or outside of this client, such as on another front end of the same API. `user`
   * is known only after `signIn`, `signInBy` or `adopt`; otherwise, request `/api/users/me`.
   */
  | { type: 'signed-in'; user?: unknown }
  /** The same session has a new access token. `expiresAt`: when it expires, in milliseconds of this device's clock. */
  | { type: 'refreshed'; expiresAt: number; by: Origin }
  | { type: 'ended'; code: EndCode; message?: string | undefined };

/** Stores the refresh token of the body transport, for example in the keychain of a phone. */
export interface TokenStore {
  get(): Promise<string | null> | string | null;
  set(token: string): unknown;
  delete(): unknown;
}

type TokenEvent = 'signed-in' | 'refreshed';

/** `since`: when the token was requested. */
interface TokenMessage {
  type: TokenEvent;
  jwt: string;
  since: number;
  user?: unknown;
}

/** The messages between tabs. `sid` is null if the tab did not know its session. */
type TabMessage =
  TokenMessage | { type: 'ended'; code: EndCode; message?: string | undefined; sid: unknown };

/** `session` numbers the sessions seen here; `dueAt` is when to refresh it. */
interface AccessToken {
  jwt: string;
  sid: unknown;
  session: number;
  since: number;
  expiresAt: number;
  dueAt: number;
}

export interface Dependencies {
  api: Api;
  store: TokenStore | null;
  exclusively: Exclusively;
  leeway: number;
  marker: { isSet(): boolean; set(mayHaveSession: boolean): void };
  emit(event: SessionEvent): void;
}

/** Milliseconds to wait for the message of the tab that has just refreshed: it may arrive after its lock is free. */
const MESSAGE_DELAY = 500;

/** Codes to report even if this page did not know of a session. The server repeats the others on every page load. */
const NEVER_REPEATED: readonly EndCode[] = ['signed_out', 'refresh_token_reused', 'user_refused'];

export class Tokens {
  current: AccessToken | null = null;
  /** Known to be signed out. Without it and without a token, there may be a session that has not been requested yet. */
  signedOut = false;
  /** The session that the user has signed out of, and its proof. Until the server knows about it, nothing may bring it back. */
  leaving: { proof: string | null; sid: unknown } | null = null;
  sessions = 0;
  changedAt = 0;
  /** Counts changes, here and in other tabs, to recognize responses that arrive too late. */
  private version = 0;
  private onChange = () => {};
  private refreshing: Promise<AccessToken | null> | null = null;
  private channel: any;
  private readonly needs: Dependencies;

  /** @param channel name of the channel for the tabs that share the session, or null */
  constructor(needs: Dependencies, channel: string | null) {
    this.needs = needs;
    // Firefox throws where cookies are blocked.
    this.channel = channel && valueOr(null, () => new globals.BroadcastChannel(channel));
    if (!this.channel) return;
    this.channel.onmessage = (event: { data: TabMessage }) => this.onMessage(event.data);
    // Otherwise, Node would not exit.
    this.channel.unref?.();
  }

  close(): void {
    this.channel?.close();
    this.channel = null;
  }

  private broadcast(message: TabMessage): void {
    // A framework may have wrapped the user in a Proxy, which cannot be cloned.
    this.channel?.postMessage(JSON.parse(JSON.stringify(message)));
  }

  private changed(): void {
    this.version += 1;
    this.changedAt = Date.now();
    this.onChange();
  }

  /** Uses the token's own lifetime, counted from the request, so the device's clock may be wrong. */
  private setAccessToken(message: TokenMessage, by: Origin): void {
    const { type, jwt, since, user } = message;
    const { sid, lifetime } = claimsOf(jwt);
    const expiresAt = since + lifetime;
    const dueAt = expiresAt - Math.min(this.needs.leeway * 1000, lifetime / 2);
    if (type === 'signed-in') this.sessions += 1;
    this.current = { jwt, sid, session: this.sessions, since, expiresAt, dueAt };
    this.signedOut = false;
    this.leaving = null;
    this.needs.marker.set(true);
    this.changed();
    if (by === 'this tab') this.broadcast(message);
    this.needs.emit(type === 'signed-in' ? { type, user } : { type, expiresAt, by });
  }

  mayExist = () => this.current !== null || this.needs.marker.isSet();

  leave(sid: unknown = null): void {
    const { current } = this;
    if (current) this.leaving = { proof: current.jwt, sid: current.sid };
    else this.leaving ??= { proof: null, sid };
  }

  end(code: EndCode, message?: string, by: Origin = 'this tab'): void {
    const sid = this.current ? this.current.sid : null;
    if (by === 'this tab') this.broadcast({ type: 'ended', code, message, sid });
    const isNews = !this.signedOut && (this.current !== null || NEVER_REPEATED.includes(code));
    this.current = null;
    this.signedOut = true;
    this.changed();
    if (isNews) this.needs.emit({ type: 'ended', code, message });
  }

  private onMessage(message: TabMessage): void {
    const { current, leaving } = this;
    if (message?.type === 'ended') {
      const { code, sid } = message;
      // A refusal concerns the session of the tab that got it, which may differ from the one here.
      if (code !== 'signed_out' && current?.sid !== sid) return;
      if (code === 'signed_out' && (current || sid)) this.leave(sid);
      this.end(code, message.message, 'another tab');
    } else if (message?.type === 'signed-in' || message?.type === 'refreshed') {
      let { type } = message;
      const { sid } = claimsOf(message.jwt);
      // If a sid cannot be read, only the message shows that the session is new.
      const isSame = (known: unknown) =>
        known === sid && (sid !== undefined || type === 'refreshed');
      if (leaving && isSame(leaving.sid)) return;
      if (current && isSame(current.sid)) {
        if (message.since < current.since) return;
        type = 'refreshed';
      } else if (type === 'refreshed' && (current || this.signedOut)) {
        // Requested after the last change here, so the cookie belongs to a session that started outside of this client.
        if (leaving?.sid === null || message.since <= this.changedAt) return;
        type = 'signed-in';
      }
      this.setAccessToken({ ...message, type }, 'another tab');
    }
  }

  /** Accepts a response, unless something changed while its refresh token was being stored. */
  async accept(answer: TokenAnswer, since: number, type: TokenEvent, signal: AbortSignal) {
    const { store } = this.needs;
    const { jwt, refreshToken, user } = answer;
    const { sid } = claimsOf(jwt);
    if (type === 'refreshed' && this.leaving && this.leaving.sid === sid) return;
    if (store) {
      if (!refreshToken) {
        throw new Error('The response has no refreshToken. Send requestRefresh: true to get one.');
      }
      const before = this.version;
      await store.set(refreshToken);
      if (signal.aborted || this.version !== before) return;
    }
    // The API's cookie is set by every sign-in there, not only by this client's.
    const isOther = this.current ? this.current.sid !== sid : this.signedOut;
    this.setAccessToken({ type: isOther ? 'signed-in' : type, jwt, since, user }, 'this tab');
  }

  /** @returns the new token, or null when there is no session */
  refresh(): Promise<AccessToken | null> {
    const { store, exclusively } = this.needs;
    const { leaving, version } = this;
    if (leaving && (store || leaving.sid === null)) return Promise.resolve(null);
    const renew = (signal: AbortSignal, waited: boolean) => this.renew(version, signal, waited);
    this.refreshing ??= exclusively(renew).finally(() => (this.refreshing = null));
    return this.refreshing;
  }

  private async renew(wanted: number, signal: AbortSignal, waited: boolean) {
    if (waited && this.version === wanted) {
      await new Promise<void>((resolve) => {
        this.onChange = resolve;
        setTimeout(resolve, MESSAGE_DELAY);
      });
    }
    // Signed out or in meanwhile, here or in another tab: this refresh belongs to the previous session.
    const isLate = () => signal.aborted || this.version !== wanted;
    if (isLate()) return this.current;

    const { api, store } = this.needs;
    const since = Date.now();
    const refreshToken = store && (await store.get());
    if (isLate()) return this.current;
    if (store && !refreshToken) {
      this.end('refresh_token_missing');
      return null;
    }
    let answer: TokenAnswer;
    try {
      answer = await api.refresh(refreshToken, signal);
    } catch (error) {
      if (isLate()) return this.current;
      const { status, code, message } = error as SessionRequestError;
      if ((status !== 400 && status !== 401) || !code) throw error;
      this.end(code as EndCode, message);
      await this.forget(refreshToken, signal);
      return null;
    }
    if (isLate()) return this.current;
    await this.accept(answer, since, 'refreshed', signal);
    return this.current;
  }

  /** After the end of a session. Deletes the stored refresh token, unless another process has stored a newer one. */
  async forget(refreshToken: string | null, signal: AbortSignal): Promise<void> {
    const { store, marker } = this.needs;
    if (!signal.aborted) marker.set(false);
    if (!store || !refreshToken || (await store.get()) !== refreshToken) return;
    if (!signal.aborted) await store.delete();
  }

  /** @returns the token to send, or null if no one is signed in */
  async valid(): Promise<AccessToken | null> {
    if (this.signedOut || !this.mayExist()) return null;
    if (this.current && Date.now() < this.current.dueAt) return this.current;
    try {
      return await this.refresh();
    } catch (error) {
      if (this.current && Date.now() < this.current.expiresAt) return this.current;
      throw error;
    }
  }
}
