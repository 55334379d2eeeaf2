import { createRequire } from 'module';
import path from 'path';
import type { Core } from '@strapi/strapi';

type Refusal = { name: string; message: string; details: any };

/**
 * Requires @strapi/plugin-graphql.
 *
 * @returns a refusal as a GraphQL error with its code in `extensions` or, without one, an error that says nothing
 */
export function graphqlError(strapi: Core.Strapi, refusal?: Refusal): Error {
  // The plugin's own copy of graphql: it hides errors of any other.
  const { pathToPlugin } = (strapi.config.get('enabledPlugins') as any).graphql;
  const { GraphQLError } = createRequire(path.join(pathToPlugin, 'package.json'))('graphql');
  if (!refusal) return new GraphQLError('Internal Server Error');
  const { name, message, details } = refusal;
  const extensions = { code: details.code, error: { name, message, details } };
  return new GraphQLError(message, { extensions });
}
