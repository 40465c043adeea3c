/**
 * What a backup is written in: lines of JSON, the same for an object's tables and for D1. Pure.
 *
 * Each line can be carried out alone, in order: a table is made, rows go into it, an index is made. Docs: docs/backup.md.
 */
import { decodeBase64, encodeBase64Unpadded } from '#protocol/signing/base64.ts'
import * as v from 'valibot'

const value = v.union([v.string(), v.number(), v.null(), v.strictObject({ bytes: v.string() })])
/** A value of a row as JSON has it. */
export type DumpValue = v.InferOutput<typeof value>

const line = v.union([
  /** The first: whose rows follow. */
  v.strictObject({ object: v.string(), name: v.string(), format: v.literal(1) }),
  v.strictObject({ table: v.string(), sql: v.string() }),
  v.strictObject({ rows: v.string(), columns: v.array(v.string()), values: v.array(v.array(value)) }),
  /** An index or trigger. */
  v.strictObject({ sql: v.string() }),
  v.strictObject({ kept: v.string(), value: v.string() }),
  /** The last: how many rows there are. */
  v.strictObject({ end: v.number() }),
  /** Instead of the last: somebody wrote while it was read, and it must be read again. */
  v.strictObject({ changed: v.literal(true) }),
])
export type DumpLine = v.InferOutput<typeof line>

/** Undefined for what is no line of a backup. */
export function parseDumpLine(text: string): DumpLine | undefined {
  try {
    const parsed = v.safeParse(line, JSON.parse(text))
    return parsed.success ? parsed.output : undefined
  } catch {
    return undefined
  }
}

/** All lines of a text; undefined where one is none. */
export function dumpLinesIn(text: string): DumpLine[] | undefined {
  const lines = text.split('\n').filter((line) => line !== '')
  const parsed = lines.map(parseDumpLine).filter((line) => line !== undefined)
  return parsed.length === lines.length ? parsed : undefined
}

export function toDumpValue(value: unknown): DumpValue {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value
  if (value instanceof ArrayBuffer) return { bytes: encodeBase64Unpadded(new Uint8Array(value)) }
  throw new TypeError(`a ${typeof value} in a table`)
}

export function fromDumpValue(value: DumpValue): string | number | null | ArrayBuffer {
  if (value === null || typeof value !== 'object') return value
  const bytes = decodeBase64(value.bytes) ?? new Uint8Array()
  return new Uint8Array(bytes).buffer
}

/** Characters of one line of rows, about; a single row may be longer. */
const lineSize = 200_000

/** Rows as lines. `rows` is read as far as lines are wanted. */
export function* rowLines(table: string, columns: readonly string[], rows: Iterable<readonly unknown[]>) {
  let values: string[] = []
  let size = 0
  const take = () => {
    const text = `{"rows":${JSON.stringify(table)},"columns":${JSON.stringify(columns)},"values":[${values.join(',')}]}`
    const taken = { text, count: values.length }
    values = []
    size = 0
    return taken
  }
  for (const row of rows) {
    const text = JSON.stringify(row.map(toDumpValue))
    values.push(text)
    size += text.length
    if (size >= lineSize) yield take()
  }
  if (values.length > 0) yield take()
}

/** What a schema holds that can be copied row by row. */
export interface Schema {
  readonly tables: readonly { readonly name: string; readonly sql: string; readonly isVirtual: boolean }[]
  /** Statements that make indexes and triggers. */
  readonly others: readonly string[]
}

/** Sorts the rows of `sqlite_master`: the platform's own tables are left out, and those that a virtual one hides. */
export function schemaOf(master: readonly { type: string; name: string; sql: string }[]): Schema {
  const isVirtual = (sql: string) => /^\s*CREATE VIRTUAL/i.test(sql)
  const hidden = master.filter(({ sql }) => isVirtual(sql)).map(({ name }) => `${name}_`)
  const shadows = /_(?:data|idx|content|docsize|config)$/
  const own = master.filter(
    ({ name }) =>
      !/^(?:sqlite_|_cf_|d1_migrations$)/.test(name) &&
      !(
        shadows.test(name) &&
        hidden.some((prefix) => name.startsWith(prefix) && !name.slice(prefix.length).includes('_'))
      ),
  )
  return {
    tables: own
      .filter(({ type }) => type === 'table')
      .map(({ name, sql }) => ({ name, sql, isVirtual: isVirtual(sql) })),
    others: own.filter(({ type }) => type === 'index' || type === 'trigger').map(({ sql }) => sql),
  }
}
