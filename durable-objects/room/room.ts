/**
 * One room as its object holds it in memory: the handle that every function of this folder takes.
 *
 * Everything in it can be lost and read again. `serverName` is this server's: whose users are local.
 */
import type { ServerName } from '#protocol/identifiers/server-name.ts'

import { migrate } from '../shared/migrate.ts'
import { migrations } from './migrations.ts'
import { Reader } from './reader.ts'
import { StateGroups } from './state-groups.ts'
import { Transactor } from './transactor.ts'

export interface Room {
  readonly serverName: ServerName
  readonly reader: Reader
  readonly groups: StateGroups
  readonly transactor: Transactor
}

/** Opens what this object stores; the tables of a known room are brought up to date. */
export function openRoom(storage: DurableObjectStorage, serverName: ServerName): Room {
  const reader = new Reader(storage.sql, serverName)
  const groups = new StateGroups(storage.sql)
  if (reader.isKnown()) migrate(storage, migrations)
  return { serverName, reader, groups, transactor: new Transactor(storage, reader, groups) }
}
