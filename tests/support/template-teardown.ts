/** Jest's global teardown. */
export { dropTemplates as default } from './template';
