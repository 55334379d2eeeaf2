import { readFileSync } from 'fs';
import path from 'path';
import Ajv from 'ajv/dist/2020';
import addFormats from 'ajv-formats';
import type { Response } from 'supertest';
import { parse } from 'yaml';

export const DOCUMENT = path.resolve(__dirname, '../../docs/openapi.yaml');

const document = parse(readFileSync(DOCUMENT, 'utf8'));
// The rest of the document has keywords that are not part of JSON Schema.
const ajv = addFormats(new Ajv({ strict: false, allErrors: true }));
ajv.addSchema(document, 'openapi');

type Located = { value: any; at: string };

/** Follows a reference in a response or a body. */
function locate(value: any, at: string): Located {
  if (!value?.$ref) return { value, at };
  const target = value.$ref.slice(1);
  const found = target
    .split('/')
    .slice(1)
    .reduce((node: any, key: string) => node[key], document);
  return { value: found, at: target };
}

const pointer = (...keys: string[]) =>
  keys.map((key) => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

function mismatches({ at }: Located, value: unknown): string[] {
  const at_ = `openapi#${encodeURI(at)}/content/application~1json/schema`;
  const validate = ajv.getSchema(at_) ?? ajv.compile({ $ref: at_ });
  return validate(value)
    ? []
    : validate.errors!.map((error) => `${error.instancePath} ${error.message}`);
}

/** `POST /token/refresh 200`, for every documented response. */
export const documented = (): string[] =>
  Object.entries<any>(document.paths).flatMap(([at, operations]) =>
    Object.entries<any>(operations).flatMap(([method, { responses }]) =>
      Object.keys(responses).map((status) => `${method.toUpperCase()} ${at} ${status}`)
    )
  );

/** Every error code that the document allows. */
export const documentedCodes = (): string[] => {
  const codes = Object.values<any>(document.components.schemas).flatMap((schema) => {
    const code = schema.properties?.error?.properties?.details?.properties?.code;
    return code?.enum ?? code?.const ?? [];
  });
  return [...new Set<string>(codes)];
};

/**
 * Compares a response with the document.
 *
 * @param operation such as `POST /token/refresh`
 * @returns the differences; empty if it is as documented
 */
export function complaintsOf(operation: string, response: Response): string[] {
  const [method, at] = operation.split(' ');
  const { responses } = document.paths[at]?.[method.toLowerCase()] ?? {};
  const status = String(response.status);
  if (!responses?.[status]) return [`${operation} ${status} is not documented`];

  const answer = locate(
    responses[status],
    pointer('paths', at, method.toLowerCase(), 'responses', status)
  );
  const headers = Object.entries<any>(answer.value.headers ?? {}).flatMap(([name, header]) => {
    const { required, schema } = locate(header, '').value;
    const value = response.headers[name.toLowerCase()];
    const fits = value === undefined ? !required : !schema.const || schema.const === value;
    return fits ? [] : [`${name}: ${value}`];
  });
  // A redirect has only headers.
  if (!answer.value.content) return headers;
  return [...headers, ...mismatches(answer, response.body)];
}

/** @returns how a request's body differs from the document */
export function complaintsOfBody(operation: string, body: unknown): string[] {
  const [method, at] = operation.split(' ');
  const { requestBody } = document.paths[at][method.toLowerCase()];
  return mismatches(
    locate(requestBody, pointer('paths', at, method.toLowerCase(), 'requestBody')),
    body
  );
}
