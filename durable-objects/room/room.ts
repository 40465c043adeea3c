/**
 * One room as its object holds it in memory: the handle that every function of this folder takes.
 *
 * Everything in it can be lost and read again. `serverName` is this server's: whose users are local.
 */
import type { Pdu, StateLookup } from '#protocol/events/pdu.ts'
import { stateMapKey } from '#protocol/events/state-map.ts'
import type { PolicyServer } from '#protocol/policy-server.ts'
import type { RetentionRules } from '#protocol/retention.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { Crypto } from '#protocol/signing/crypto.ts'

import { migrate } from '../shared/migrate.ts'
import { afterRestore } from '../shared/restored.ts'
import type { Erasures } from './erasures.ts'
import { LazyMembers } from './lazy-members.ts'
import { MergeMemory } from './merge-memory.ts'
import { migrations } from './migrations.ts'
import { Reader } from './reader.ts'
import type { Removals } from './removals.ts'
import { leapAhead } from './restored.ts'
import type { SharedFacts } from './sliding/list-facts.ts'
import { StateGroups } from './state-groups.ts'
import type { GroupId } from './stored-event.ts'
import type { Heroes } from './summary.ts'
import { Transactor } from './transactor.ts'
import { Typing } from './typing.ts'
import { newUnreadMemory, type UnreadMemory } from './unread-memory.ts'

export interface Room {
  readonly serverName: ServerName
  readonly crypto: Crypto
  readonly reader: Reader
  readonly groups: StateGroups
  readonly transactor: Transactor
  readonly merges: MergeMemory
  readonly memory: ReadMemory
  /** Undefined: messages are kept for ever, whatever the room says. */
  readonly retention: RetentionRules | undefined
  /** All encrypted events ring: see protocol/push-rules/predefined-rules.ts. */
  readonly pushesEncrypted: boolean
}

/** What readers are told that is in no table. */
export interface ReadMemory {
  readonly typing: Typing
  readonly lazyMembers: LazyMembers
  readonly unread: UnreadMemory
  heroes: Heroes | undefined
  /** The event that was made last and lacks a policy server's signature, see author-event.ts. */
  unendorsed: { readonly pdu: Pdu; readonly policy: PolicyServer } | undefined
  listFacts: SharedFacts | undefined
  erasures: Erasures | undefined
  removals: Removals | undefined
}

/** Opens what this object stores; the tables of a known room are brought up to date. */
export function openRoom(
  storage: DurableObjectStorage,
  serverName: ServerName,
  crypto: Crypto,
  restored?: string,
  { retention, pushesEncrypted = false }: Partial<Pick<Room, 'retention' | 'pushesEncrypted'>> = {},
): Room {
  const reader = new Reader(storage.sql, serverName)
  const groups = new StateGroups(storage.sql)
  const merges = new MergeMemory()
  if (reader.isKnown()) {
    migrate(storage, migrations)
    afterRestore(storage, restored, () => leapAhead(storage.sql))
  }
  const memory: ReadMemory = {
    typing: new Typing(),
    lazyMembers: new LazyMembers(),
    unread: newUnreadMemory(),
    heroes: undefined,
    unendorsed: undefined,
    listFacts: undefined,
    erasures: undefined,
    removals: undefined,
  }
  const forget = () => {
    reader.forget()
    groups.forget()
    merges.forget()
    memory.removals = undefined
  }
  const transactor = new Transactor(storage, reader, forget)
  return { serverName, crypto, reader, groups, transactor, merges, memory, retention, pushesEncrypted }
}

/** The room's state in a group, as the core looks it up; the current state goes by its table. */
export function stateLookup({ reader, groups }: Room, group: GroupId): StateLookup {
  if (group === reader.header().currentGroup) return (type, stateKey) => reader.current(type, stateKey)?.pdu
  return (type, stateKey) => {
    const nid = groups.read(group, stateMapKey(type, stateKey))
    return nid === undefined ? undefined : reader.eventOf(nid).pdu
  }
}

/** The current state, as the core looks it up. */
export function currentStateLookup({ reader }: Room): StateLookup {
  return (type, stateKey) => reader.current(type, stateKey)?.pdu
}
