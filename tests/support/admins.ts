import type { Response } from 'supertest';
import type { Server } from './server';

const PASSWORD = 'Correct-horse-1';

/** Admins of a Strapi, each as someone who sends requests to `/users-permissions/sessions` and below. */
export interface Admin {
  id: number;
  /** What they send as Bearer. */
  jwt: string;
  get(path?: string): Promise<Response>;
  end(path: string): Promise<Response>;
  /** Any other request to the admin API. */
  send(method: 'get' | 'post' | 'put', path: string, body?: object): Promise<Response>;
}

export const READ = 'plugin::users-permissions.sessions.read';
export const END = 'plugin::users-permissions.sessions.end';

const permissionsOf = (actions: string[]) =>
  actions.map((action) => ({ action, subject: null, properties: {}, conditions: [] }));

/** A caller with a token, or without one. */
export function asCaller(server: Server, jwt?: string): Omit<Admin, 'id' | 'jwt'> {
  const send = async (method: 'get' | 'post' | 'put' | 'delete', path: string, body?: object) => {
    const request = server.api[method](path);
    if (jwt) void request.set('Authorization', `Bearer ${jwt}`);
    return request.send(body);
  };
  return {
    get: (path = '') => send('get', `/users-permissions/sessions${path}`),
    end: (path) => send('delete', `/users-permissions/sessions${path}`),
    send,
  };
}

/** Registers the first admin, who is a super admin, or signs them in if they are registered. */
export async function superAdmin(server: Server): Promise<Admin> {
  const email = 'super@test.local';
  const names = { firstname: 'Super', lastname: 'Admin' };
  await server.api.post('/admin/register-admin').send({ ...names, email, password: PASSWORD });
  return signIn(server, email);
}

/** An admin with a separate role that has these permissions. */
export async function editor(server: Server, by: Admin, ...actions: string[]): Promise<Admin> {
  const name = `Editor of ${actions.join(' and ') || 'nothing'}`;
  const role = data(await by.send('post', '/admin/roles', { name, description: name }));
  await by.send('put', `/admin/roles/${role.id}/permissions`, {
    permissions: permissionsOf(actions),
  });
  const email = `editor-${role.id}@test.local`;
  await server.strapi.service('admin::user')!.create({
    ...{ firstname: 'An', lastname: 'Editor', email, password: PASSWORD },
    ...{ isActive: true, roles: [role.id] },
  });
  return signIn(server, email);
}

/** An API token, created as an admin does it: the service for it has other names in some releases. */
export async function apiToken(by: Admin, name: string): Promise<string> {
  const response = await by.send('post', '/admin/api-tokens', {
    ...{ name, description: '', type: 'full-access', lifespan: null },
  });
  return data(response).accessKey;
}

/** An admin token, which Strapi has since 5.47, and in 5.45 and 5.46 behind a flag. */
export async function adminToken(by: Admin, ...actions: string[]): Promise<string> {
  const response = await by.send('post', '/admin/admin-tokens', {
    name: actions.join(),
    lifespan: null,
    adminPermissions: permissionsOf(actions),
  });
  return data(response).accessKey;
}

async function signIn(server: Server, email: string): Promise<Admin> {
  const response = await server.api.post('/admin/login').send({ email, password: PASSWORD });
  const { token, user } = data(response);
  return { id: user.id, jwt: token, ...asCaller(server, token) };
}

function data({ status, body }: Response): any {
  if (body.data) return body.data;
  throw new Error(`Strapi returned ${status}: ${JSON.stringify(body)}`);
}
