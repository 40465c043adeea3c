/** The form of bodies that are an event or hold one: an object, whose fields are judged by the room's version. */
import type { JsonObject } from '#protocol/json/json.ts'
import { isObject } from '#protocol/json/json.ts'
import * as v from 'valibot'

export const jsonObject = v.custom<JsonObject>(isObject, 'Expected an object')
