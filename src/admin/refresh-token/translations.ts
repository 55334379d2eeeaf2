/**
 * Every text of the sessions page and panel, in the format of Strapi's `config.translations`: texts by key, by language. To add a
 * language, add a block; what it leaves out stays in English. Keys that end in `.one` and `.other` depend on `{count}`.
 */
const en = {
  title: 'Sessions',
  subtitle: 'A session is one sign-in on one device.',
  'subtitle.count.one': '{count} active session. A session is one sign-in on one device.',
  'subtitle.count.other': '{count} active sessions. A session is one sign-in on one device.',

  'column.user': 'User',
  'column.device': 'Device',
  'column.address': 'Address',
  'column.signedIn': 'Signed in',
  'column.lastActivity': 'Last activity',
  'column.ends': 'Ends',
  'column.actions': 'Actions',
  'column.when': 'When',
  'column.session': 'Session',
  'column.request': 'Reused by',
  'column.variable': 'Variable',
  'column.value': 'Value',
  'column.meaning': 'Meaning',

  'device.named': '{app} on {system}',
  'device.unknown': 'Unknown device',
  'address.unknown': 'Unknown address',
  'user.deleted': 'Deleted user',
  'transport.cookie': 'Cookie',
  'transport.body': 'JSON body',
  'time.now': 'just now',

  'search.label': 'Search by username or email',
  'search.placeholder': 'Username or email',
  'search.clear': 'Clear the search',
  'filter.user': 'Only sessions of {user}',
  'filter.clear': 'Show all users',

  'list.loading': 'Loading sessions',
  'list.loaded.one': '{count} session on this page.',
  'list.loaded.other': '{count} sessions on this page.',
  'list.empty': 'No one is signed in.',
  'list.noMatch': 'No active session matches your search.',
  'list.pages': 'Pages of sessions',
  'list.newer': 'Newer',
  'list.older': 'Older',

  'end.action': 'End',
  'end.label': 'End: {user}, {device}',
  'end.title': 'End this session?',
  'end.body':
    '{user} will be signed out on this device ({device}). The next request from it will be refused.',
  'end.confirm': 'End session',
  'endUser.action': 'End all sessions',
  'endUser.named': 'End all sessions of {user}',
  'endUser.title': 'End all sessions of {user}?',
  'endUser.body': '{user} will be signed out on every device and has to sign in again.',
  'endAll.action': 'End all sessions',
  'endAll.title': 'End the sessions of all users?',
  'endAll.body':
    'Every user will be signed out on every device and has to sign in again. Administrators of this panel stay signed in.',
  'endAll.body.count.one':
    'This ends {count} session. The user will be signed out and has to sign in again. Administrators of this panel stay signed in.',
  'endAll.body.count.other':
    'This ends {count} sessions. Every user will be signed out on every device and has to sign in again. Administrators of this panel stay signed in.',
  'endAll.word': 'END ALL',
  'confirm.type': 'Type {word} to confirm',
  'confirm.cancel': 'Cancel',
  'ended.one': '{count} session ended.',
  'ended.other': '{count} sessions ended.',
  'ended.already': 'This session had already ended.',

  'error.load': 'This could not be loaded.',
  'error.forbidden': 'You no longer have permission to see this.',
  'error.retry': 'Try again',

  'incidents.title': 'Incidents',
  'incidents.subtitle':
    'A refresh token was used again after it had been replaced, so its session was ended. Someone may have stolen it.',
  'incidents.loading': 'Loading incidents',
  'incidents.empty': 'No refresh token was reused in the last 90 days.',
  'incidents.pages': 'Pages of incidents',

  'settings.title': 'Configuration',
  'settings.subtitle': 'Environment variables in effect since the last start of Strapi.',
  'settings.loading': 'Loading the configuration',
  'settings.warnings': 'Warnings',

  'panel.loading': 'Loading sessions',
  'panel.empty': 'This user is not signed in anywhere.',
  'panel.lastActivity': 'Last activity:',
  'panel.ends': 'Ends:',
  'panel.all': 'Show all sessions',
};

export type Key = keyof typeof en;

/** A text that has a singular and a plural form. */
export type PluralKey = Key extends infer K
  ? K extends `${infer Name}.one`
    ? Name
    : never
  : never;

const de: Record<Key, string> = {
  title: 'Sitzungen',
  subtitle: 'Eine Sitzung ist eine Anmeldung auf einem Gerät.',
  'subtitle.count.one': '{count} aktive Sitzung. Eine Sitzung ist eine Anmeldung auf einem Gerät.',
  'subtitle.count.other':
    '{count} aktive Sitzungen. Eine Sitzung ist eine Anmeldung auf einem Gerät.',

  'column.user': 'Benutzer',
  'column.device': 'Gerät',
  'column.address': 'Adresse',
  'column.signedIn': 'Angemeldet',
  'column.lastActivity': 'Letzte Aktivität',
  'column.ends': 'Endet',
  'column.actions': 'Aktionen',
  'column.when': 'Wann',
  'column.session': 'Sitzung',
  'column.request': 'Wiederverwendet von',
  'column.variable': 'Variable',
  'column.value': 'Wert',
  'column.meaning': 'Bedeutung',

  'device.named': '{app} auf {system}',
  'device.unknown': 'Unbekanntes Gerät',
  'address.unknown': 'Unbekannte Adresse',
  'user.deleted': 'Gelöschter Benutzer',
  'transport.cookie': 'Cookie',
  'transport.body': 'JSON-Body',
  'time.now': 'gerade eben',

  'search.label': 'Nach Benutzername oder E-Mail suchen',
  'search.placeholder': 'Benutzername oder E-Mail',
  'search.clear': 'Suche zurücksetzen',
  'filter.user': 'Nur Sitzungen von {user}',
  'filter.clear': 'Alle Benutzer anzeigen',

  'list.loading': 'Sitzungen werden geladen',
  'list.loaded.one': '{count} Sitzung auf dieser Seite.',
  'list.loaded.other': '{count} Sitzungen auf dieser Seite.',
  'list.empty': 'Niemand ist angemeldet.',
  'list.noMatch': 'Keine aktive Sitzung passt zu deiner Suche.',
  'list.pages': 'Seiten der Sitzungen',
  'list.newer': 'Neuere',
  'list.older': 'Ältere',

  'end.action': 'Beenden',
  'end.label': 'Beenden: {user}, {device}',
  'end.title': 'Diese Sitzung beenden?',
  'end.body':
    '{user} wird auf diesem Gerät abgemeldet ({device}). Die nächste Anfrage von dort wird abgelehnt.',
  'end.confirm': 'Sitzung beenden',
  'endUser.action': 'Alle Sitzungen beenden',
  'endUser.named': 'Alle Sitzungen von {user} beenden',
  'endUser.title': 'Alle Sitzungen von {user} beenden?',
  'endUser.body': '{user} wird auf allen Geräten abgemeldet und muss sich neu anmelden.',
  'endAll.action': 'Alle Sitzungen beenden',
  'endAll.title': 'Die Sitzungen aller Benutzer beenden?',
  'endAll.body':
    'Alle Benutzer werden auf allen Geräten abgemeldet und müssen sich neu anmelden. Administratoren bleiben hier angemeldet.',
  'endAll.body.count.one':
    'Das beendet {count} Sitzung. Der Benutzer wird abgemeldet und muss sich neu anmelden. Administratoren bleiben hier angemeldet.',
  'endAll.body.count.other':
    'Das beendet {count} Sitzungen. Alle Benutzer werden auf allen Geräten abgemeldet und müssen sich neu anmelden. Administratoren bleiben hier angemeldet.',
  'endAll.word': 'ALLE BEENDEN',
  'confirm.type': 'Gib zur Bestätigung {word} ein',
  'confirm.cancel': 'Abbrechen',
  'ended.one': '{count} Sitzung beendet.',
  'ended.other': '{count} Sitzungen beendet.',
  'ended.already': 'Diese Sitzung war bereits beendet.',

  'error.load': 'Das konnte nicht geladen werden.',
  'error.forbidden': 'Du hast keine Berechtigung mehr, das zu sehen.',
  'error.retry': 'Erneut versuchen',

  'incidents.title': 'Vorfälle',
  'incidents.subtitle':
    'Ein Refresh-Token wurde noch einmal verwendet, nachdem es ersetzt worden war. Deshalb wurde die Sitzung beendet. Möglicherweise wurde es gestohlen.',
  'incidents.loading': 'Vorfälle werden geladen',
  'incidents.empty': 'In den letzten 90 Tagen wurde kein Refresh-Token wiederverwendet.',
  'incidents.pages': 'Seiten der Vorfälle',

  'settings.title': 'Konfiguration',
  'settings.subtitle': 'Umgebungsvariablen, die seit dem letzten Start von Strapi gelten.',
  'settings.loading': 'Konfiguration wird geladen',
  'settings.warnings': 'Warnungen',

  'panel.loading': 'Sitzungen werden geladen',
  'panel.empty': 'Dieser Benutzer ist nirgends angemeldet.',
  'panel.lastActivity': 'Letzte Aktivität:',
  'panel.ends': 'Endet:',
  'panel.all': 'Alle Sitzungen anzeigen',
};

export const translations: { en: typeof en } & Record<
  string,
  Partial<Record<Key, string>> | undefined
> = { en, de };
