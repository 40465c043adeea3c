/**
 * D1 as a stream for a backup, in the lines of dump-line.ts.
 *
 * A small database is read in one transaction. A larger one is read table by table, those first that point to others, so that
 * what a row points to is in the backup too. What may be used once only, and what others said about themselves, is left out:
 * worker/restored.ts would throw it away.
 */
import { gzipSync } from 'node:zlib'

import { voidAfterRestore } from '../restored.ts'
import { rowLines, type Schema, schemaOf } from './dump-line.ts'

/** `mostAtOnce`: bytes of a database that is read at once. `pageSize`: rows. */
const usual = { mostAtOnce: 8 * 1024 * 1024, pageSize: 500 }
/** Begins the names of the columns by which pages follow one another. */
const place = 'place of the page '

type Row = Record<string, unknown>
type Table = Schema['tables'][number]

export async function dumpDatabase(db: D1Database, { mostAtOnce, pageSize } = usual): Promise<Response> {
  const master = await db
    .prepare('SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid')
    .all<{ type: string; name: string; sql: string }>()
  const { tables, others } = schemaOf(master.results)
  const full = childrenFirst(tables).filter(({ name }) => !voidAfterRestore.includes(name))
  const snapshot =
    master.meta.size_after <= mostAtOnce
      ? await readAtOnce(
          db,
          full.map(({ name }) => name),
        )
      : undefined
  let count = 0
  async function* lines(): AsyncGenerator<string, void> {
    yield JSON.stringify({ object: 'DB', name: 'DB', format: 1 })
    for (const { name, sql } of tables) yield JSON.stringify({ table: name, sql })
    for (const table of full) {
      const { name } = table
      for await (const rows of snapshot ? [snapshot.get(name) ?? []] : pagesOf(db, table, pageSize)) {
        const columns = Object.keys(rows[0] ?? {}).filter((column) => !column.startsWith(place))
        for (const { text, count: some } of rowLines(
          name,
          columns,
          rows.map((row) => columns.map((c) => row[c])),
        )) {
          count += some
          yield text
        }
      }
    }
    for (const sql of others) yield JSON.stringify({ sql })
    yield JSON.stringify({ end: count })
  }
  const wanted = lines()
  const stream = new ReadableStream({
    type: 'bytes',
    async pull(controller) {
      const { done, value } = await wanted.next()
      if (done) controller.close()
      else controller.enqueue(gzipSync(`${value}\n`))
    },
  })
  return new Response(stream)
}

/** Each table before those that it points to. */
function childrenFirst(tables: readonly Table[]): Table[] {
  const order: Table[] = []
  const seen = new Set<Table>()
  const visit = (table: Table) => {
    if (seen.has(table)) return
    seen.add(table)
    for (const [, parent] of table.sql.matchAll(/REFERENCES\s+[`"]?(\w+)/gi)) {
      const found = tables.find(({ name }) => name === parent)
      if (found) visit(found)
    }
    order.push(table)
  }
  for (const table of tables) visit(table)
  return order.toReversed()
}

async function readAtOnce(db: D1Database, tables: readonly string[]): Promise<Map<string, Row[]>> {
  const answers = await db.batch<Row>(tables.map((name) => db.prepare(`SELECT * FROM "${name}"`)))
  return new Map(tables.map((name, index) => [name, answers[index]?.results ?? []]))
}

/** In the order of the key: rowid, or the primary key of a table that has none. */
async function* pagesOf(db: D1Database, { name, sql }: Table, pageSize: number): AsyncGenerator<Row[], void> {
  const keys = /WITHOUT\s+ROWID/i.test(sql) ? await primaryKey(db, name) : ['rowid']
  const list = keys.join(', ')
  const places = keys.map((key, index) => `${key} AS "${place}${index}"`).join(', ')
  const marks = keys.map(() => '?').join(', ')
  for (let after: unknown[] | undefined; ;) {
    const where = after === undefined ? '' : `WHERE (${list}) > (${marks})`
    const read = `SELECT ${places}, * FROM "${name}" ${where} ORDER BY ${list} LIMIT ${pageSize}`
    const { results } = await db
      .prepare(read)
      .bind(...(after ?? []))
      .all<Row>()
    yield results
    const last = results.at(-1)
    if (!last || results.length < pageSize) return
    after = keys.map((_, index) => last[`${place}${index}`])
  }
}

async function primaryKey(db: D1Database, table: string): Promise<string[]> {
  const read = db.prepare('SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk').bind(table)
  return (await read.all<{ name: string }>()).results.map(({ name }) => `"${name}"`)
}
