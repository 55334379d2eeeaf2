// The names of what is copied.

export const FOLDER = 'src/extensions/users-permissions';

/** The part that runs in the browser. Strapi builds it from there only. */
export const PANEL = 'src/admin/refresh-token';

export const isOfPanel = (name) => name.startsWith(`${PANEL}/`);

/** @returns {string} the path within the project of a file that is named within the folder; the panel's are named in full */
export const pathOf = (name) => (isOfPanel(name) ? name : `${FOLDER}/${name}`);

/** @returns {string | null} the name of a path within the project, as in `pathOf`; null for any other file */
export function nameOf(file) {
  if (isOfPanel(file)) return file;
  return file.startsWith(`${FOLDER}/`) ? file.slice(FOLDER.length + 1) : null;
}

/** The part that `--without` leaves out: the panel, and the folder's routes for it. */
export const ADMIN = 'admin';

export const isOfAdmin = (name) => isOfPanel(name) || name.startsWith(`${ADMIN}/`);

/** Text with the line endings that are compared and merged. */
export const unix = (text) => text.replaceAll('\r\n', '\n');
