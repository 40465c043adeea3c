/**
 * Filters that clients stored. They never change, and the same filter always has the same ID.
 *
 * Spec: client-server-api/#filtering. The Worker has checked their form.
 */
import type { JsonObject } from '#protocol/json/json.ts'

import type { Sql } from '../shared/sql.ts'

const most = 1000

/** The ID of a filter; undefined when this user has stored too many. */
export function storeFilter(sql: Sql, filter: JsonObject): string | undefined {
  const json = JSON.stringify(filter)
  const [known] = sql.exec<{ id: number }>('SELECT id FROM filters WHERE json = ?', json).toArray()
  if (known) return String(known.id)
  const [added] = sql
    .exec<{ id: number }>(
      'INSERT INTO filters(json) SELECT ?1 WHERE (SELECT count(*) FROM filters) < ?2 RETURNING id',
      json,
      most,
    )
    .toArray()
  return added && String(added.id)
}

export function getFilter(sql: Sql, filterId: string): JsonObject | undefined {
  if (!/^[0-9]{1,15}$/.test(filterId)) return undefined
  const [row] = sql.exec<{ json: string }>('SELECT json FROM filters WHERE id = ?', Number(filterId)).toArray()
  return row && JSON.parse(row.json)
}
