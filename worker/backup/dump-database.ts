/**
 * D1 as a stream for a backup, in the lines of dump-line.ts.
 *
 * A small database is read in one transaction. A larger one is read table by table, those first that point to others, so that
 * what a row points to is in the backup too. What may be used once only, and what others said about themselves, is left out:
 * worker/restored.ts would throw it away.
 */
import { gzipSync } from 'node:zlib'

import { voidAfterRestore } from '../restored.ts'
import { rowLines, schemaOf } from './dump-line.ts'

/** Bytes of a database that is read at once. */
const mostAtOnce = 8 * 1024 * 1024
const pageSize = 500
/** Name of the column by which pages follow one another. */
const place = 'rowid of the page'

type Row = Record<string, unknown>

export async function dumpDatabase(db: D1Database): Promise<Response> {
  const master = await db
    .prepare('SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid')
    .all<{ type: string; name: string; sql: string }>()
  const { tables, others } = schemaOf(master.results)
  const full = childrenFirst(tables).filter((name) => !voidAfterRestore.includes(name))
  const snapshot = master.meta.size_after <= mostAtOnce ? await readAtOnce(db, full) : undefined
  let count = 0
  async function* lines(): AsyncGenerator<string, void> {
    yield JSON.stringify({ object: 'DB', name: 'DB', format: 1 })
    for (const { name, sql } of tables) yield JSON.stringify({ table: name, sql })
    for (const name of full) {
      for await (const rows of snapshot ? [snapshot.get(name) ?? []] : pagesOf(db, name)) {
        const columns = Object.keys(rows[0] ?? {}).filter((column) => column !== place)
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
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await wanted.next()
      if (done) controller.close()
      else controller.enqueue(gzipSync(`${value}\n`))
    },
  })
  return new Response(stream)
}

/** Names of tables, each before those that it points to. */
function childrenFirst(tables: readonly { name: string; sql: string }[]): string[] {
  const parents = new Map(
    tables.map(({ name, sql }) => [name, [...sql.matchAll(/REFERENCES\s+[`"]?(\w+)/gi)].map(([, parent]) => parent)]),
  )
  const order: string[] = []
  const visit = (name: string) => {
    if (order.includes(name)) return
    for (const parent of parents.get(name) ?? []) if (parent !== undefined && parent !== name) visit(parent)
    order.push(name)
  }
  for (const { name } of tables) visit(name)
  return order.toReversed()
}

async function readAtOnce(db: D1Database, tables: readonly string[]): Promise<Map<string, Row[]>> {
  const answers = await db.batch<Row>(tables.map((name) => db.prepare(`SELECT * FROM "${name}"`)))
  return new Map(tables.map((name, index) => [name, answers[index]?.results ?? []]))
}

/** Every table has a rowid: drizzle-kit makes no other. */
async function* pagesOf(db: D1Database, table: string): AsyncGenerator<Row[], void> {
  const read = `SELECT rowid AS "${place}", * FROM "${table}" WHERE rowid > ? ORDER BY rowid LIMIT ${pageSize}`
  for (let after: unknown = -1; ;) {
    const { results } = await db.prepare(read).bind(after).all<Row>()
    after = results.at(-1)?.[place]
    yield results
    if (results.length < pageSize) return
  }
}
