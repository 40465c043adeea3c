/** Whether a body has the form that an operation takes: M_BAD_JSON or M_MISSING_PARAM, naming the field, where it has not. */
import { isObject } from '#protocol/json/json.ts'
import * as v from 'valibot'

import { refuse } from './refusal.ts'

export function checkBody<Schema extends v.GenericSchema>(schema: Schema, body: unknown): v.InferOutput<Schema> {
  // A schema whose fields are all optional would take an array for an object.
  if (!isObject(body)) refuse('bad_json', 'The body must be a JSON object')
  const result = v.safeParse(schema, body)
  if (result.success) return result.output
  const issue = result.issues[0]
  const where = v.getDotPath(issue)
  const missing = issue.received === 'undefined'
  return refuse(missing ? 'missing_param' : 'bad_json', where === null ? issue.message : `${where}: ${issue.message}`)
}
