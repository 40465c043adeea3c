/**
 * Everything an object holds, as a stream for a backup (worker/backup/dump-line.ts has the lines), compressed.
 *
 * What fits into memory once it is compressed is read in one turn, and so is a state that the object once was in. Of a larger
 * one the rest is read as somebody takes it; where a row was written meanwhile, the stream says so at its end instead of
 * passing a mixture off as a backup.
 */
import { gzipSync } from 'node:zlib'

import { rowLines, schemaOf } from '../../worker/backup/dump-line.ts'

/** `mostHeld`: compressed bytes that are held at most. `pieceSize`: characters that are compressed at once. */
const usual = { mostHeld: 40 * 1024 * 1024, pieceSize: 1024 * 1024 }

/** Answers 204 where nothing is stored. */
export function dumpStorage(
  storage: DurableObjectStorage,
  kind: string,
  name: string,
  { mostHeld, pieceSize } = usual,
): Response {
  const { sql } = storage
  if (schemaOf(masterOf(sql)).tables.length === 0) return new Response(null, { status: 204 })
  const pieces = compressed(linesOf(storage, kind, name), pieceSize)
  const held: Uint8Array[] = []
  let size = 0
  let next = pieces.next()
  while (!next.done && size < mostHeld) {
    held.push(next.value)
    size += next.value.byteLength
    next = pieces.next()
  }
  const before = writesOf(sql)
  const stream = new ReadableStream({
    type: 'bytes',
    pull(controller) {
      const piece = held.shift()
      if (piece) return controller.enqueue(piece)
      if (next.done) return controller.close()
      if (writesOf(sql) !== before) {
        controller.enqueue(gzipSync('{"changed":true}\n'))
        return controller.close()
      }
      controller.enqueue(next.value)
      next = pieces.next()
    },
  })
  return new Response(stream)
}

function masterOf(sql: SqlStorage) {
  return sql
    .exec<{ type: string; name: string; sql: string }>(
      'SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid',
    )
    .toArray()
}

function* linesOf({ sql, kv }: DurableObjectStorage, kind: string, name: string): Generator<string, void> {
  const { tables, others } = schemaOf(masterOf(sql))
  yield JSON.stringify({ object: kind, name, format: 1 })
  let count = 0
  for (const table of tables) {
    yield JSON.stringify({ table: table.name, sql: table.sql })
    if (table.isVirtual) continue
    const cursor = sql.exec(`SELECT * FROM "${table.name}"`)
    for (const line of rowLines(table.name, cursor.columnNames, cursor.raw())) {
      count += line.count
      yield line.text
    }
  }
  for (const statement of others) yield JSON.stringify({ sql: statement })
  for (const [key, value] of kv.list()) yield JSON.stringify({ kept: key, value: String(value) })
  yield JSON.stringify({ end: count })
}

/** Pieces that are whole gzip files, which stand one after another as one. */
function* compressed(lines: Iterable<string>, pieceSize: number): Generator<Uint8Array, void> {
  let text = ''
  for (const line of lines) {
    text += `${line}\n`
    if (text.length < pieceSize) continue
    yield gzipSync(text, { level: 3 })
    text = ''
  }
  if (text !== '') yield gzipSync(text, { level: 3 })
}

/** Grows with every row that is written. */
function writesOf(sql: SqlStorage): number {
  return sql.exec<{ writes: number }>('SELECT total_changes() AS writes').one().writes
}
