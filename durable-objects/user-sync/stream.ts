/**
 * The position of a user's stream: one counter for everything that `/sync` reports, only ever growing.
 *
 * Positions are reserved in blocks, so that giving one out costs no row. What is left of a block when the object sleeps is
 * never used: positions have gaps, and nothing may count on them being consecutive.
 */
import type { Sql } from '../shared/sql.ts'

export interface Stream {
  readonly epoch: string
  /** The newest position given out, or one that never will be. */
  position: number
  reserved: number
}

const block = 1024

/** Loads the stream, or begins it. `newEpoch` gives the name of a new stream. */
export function loadStream(sql: Sql, newEpoch: () => string): Stream {
  const [row] = sql.exec<{ epoch: string; reserved: number }>('SELECT epoch, reserved FROM stream').toArray()
  if (row) return { epoch: row.epoch, position: row.reserved, reserved: row.reserved }
  const epoch = newEpoch()
  sql.exec('INSERT INTO stream(id, epoch, reserved) VALUES (1, ?, 0)', epoch)
  return { epoch, position: 0, reserved: 0 }
}

/** The next position, for rows written in this same turn. */
export function advance(sql: Sql, stream: Stream): number {
  if (stream.position === stream.reserved) {
    stream.reserved += block
    sql.exec('UPDATE stream SET reserved = ?', stream.reserved)
  }
  return ++stream.position
}
