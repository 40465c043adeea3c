/**
 * What is in the account, and what is put there: wrangler's commands as typed questions. The state of a deployment is read
 * from the account each time, so that a wizard that was stopped half-way goes on from any machine.
 */
import { isObject, own, type JsonObject } from '../../worker/protocol/json/json.ts'
import { type Failure, failureOf } from './failures.ts'
import type { Ran, Wrangler } from './wrangler.ts'

/** A step of the deployment cannot be taken; thrown to its end, since nothing after it makes sense. */
export class DeployError extends Error {
  readonly what: string
  readonly next: string
  constructor({ what, next }: Pick<Failure, 'what' | 'next'>) {
    super(`${what}\n  → ${next}`)
    this.what = what
    this.next = next
  }
}

export interface Login {
  readonly email: string | undefined
  readonly accounts: ReadonlyArray<{ readonly id: string; readonly name: string }>
}

/** The Worker as it is deployed now. */
export interface Deployed {
  /** Its plain variables. */
  readonly variables: Readonly<Record<string, string>>
  /** Classes of its Durable Objects: by these a Worker of ours is known. */
  readonly classes: readonly string[]
  readonly secrets: readonly string[]
}

export async function readLogin(wrangler: Wrangler): Promise<Login | undefined> {
  const ran = await wrangler(['whoami', '--json'])
  const answer = jsonIn(ran.output)
  if (isObject(answer) && own(answer, 'loggedIn') === false) return undefined
  if (ran.code !== 0) {
    const failure = failureOf(ran)
    if (failure?.kind === 'not_logged_in') return undefined
    throw new DeployError(failure ?? unreadable('whoami'))
  }
  if (!isObject(answer)) throw new DeployError(unreadable('whoami'))
  const accounts = objectsIn(own(answer, 'accounts')).map((account) => ({
    id: textIn(account, 'id'),
    name: textIn(account, 'name'),
  }))
  return { email: textIn(answer, 'email') || undefined, accounts }
}

export async function readDeployed(wrangler: Wrangler, worker: string): Promise<Deployed | undefined> {
  const status = await wrangler(['deployments', 'status', '--name', worker, '--json'])
  if (failureOf(status)?.kind === 'no_worker') return undefined
  const current = objectsIn(member(jsonOf(status, 'deployments status'), 'versions')).at(-1)
  if (current === undefined) return undefined
  const version = await ask(wrangler, ['versions', 'view', textIn(current, 'version_id'), '--name', worker, '--json'])
  const bindings = objectsIn(member(member(version, 'resources'), 'bindings'))
  const ofType = (type: string) => bindings.filter((binding) => own(binding, 'type') === type)
  const secrets = await ask(wrangler, ['secret', 'list', '--name', worker, '--format', 'json'])
  return {
    variables: Object.fromEntries(
      ofType('plain_text').map((binding) => [textIn(binding, 'name'), textIn(binding, 'text')]),
    ),
    classes: ofType('durable_object_namespace').map((binding) => textIn(binding, 'class_name')),
    secrets: objectsIn(secrets).map((secret) => textIn(secret, 'name')),
  }
}

/** The ID of the database of this name. */
export async function findDatabase(wrangler: Wrangler, name: string): Promise<string | undefined> {
  const list = objectsIn(await ask(wrangler, ['d1', 'list', '--json']))
  const found = list.find((database) => own(database, 'name') === name)
  return found && textIn(found, 'uuid')
}

export async function createDatabase(wrangler: Wrangler, name: string): Promise<string> {
  must(await wrangler(['d1', 'create', name]))
  const id = await findDatabase(wrangler, name)
  if (id !== undefined) return id
  throw new DeployError({
    what: `the database ${name} was made, but the account does not list it`,
    next: 'wait a minute, then npm run deploy again',
  })
}

export async function hasBucket(wrangler: Wrangler, name: string): Promise<boolean> {
  // This command of wrangler has no JSON.
  const { output } = must(await wrangler(['r2', 'bucket', 'list']))
  return output.split('\n').some((line) => /^name:\s+(\S+)\s*$/.exec(line)?.[1] === name)
}

/** Files in a bucket, as the account counts them: some minutes late. */
export async function filesIn(wrangler: Wrangler, name: string): Promise<number> {
  const info = await ask(wrangler, ['r2', 'bucket', 'info', name, '--json'])
  // Written for people: "1,234".
  return isObject(info) ? Number(textIn(info, 'object_count').replaceAll(/\D/g, '')) : 0
}

export async function createBucket(wrangler: Wrangler, name: string): Promise<void> {
  must(await wrangler(['r2', 'bucket', 'create', name]))
}

/** Rows of one statement on the remote database. */
export async function query(wrangler: Wrangler, database: string, sql: string): Promise<JsonObject[]> {
  const args = ['d1', 'execute', database, '--remote', '--yes', '--json', '--command', sql]
  const [result] = objectsIn(await ask(wrangler, args))
  return objectsIn(result && own(result, 'results'))
}

/** Where the database can be brought back to. */
export async function bookmarkOf(wrangler: Wrangler, database: string): Promise<string> {
  const bookmark = textIn(await ask(wrangler, ['d1', 'time-travel', 'info', database, '--json']), 'bookmark')
  if (bookmark === '') throw new DeployError(unreadable('d1 time-travel info'))
  return bookmark
}

export async function putSecret(wrangler: Wrangler, worker: string, name: string, value: string): Promise<void> {
  must(await wrangler(['secret', 'put', name, '--name', worker], { input: value }))
}

export async function deleteSecret(wrangler: Wrangler, worker: string, name: string): Promise<void> {
  must(await wrangler(['secret', 'delete', name, '--name', worker]))
}

/** Throws DeployError unless it went well. */
export function must(ran: Ran): Ran {
  const failure = failureOf(ran)
  if (failure) throw new DeployError(failure)
  return ran
}

async function ask(wrangler: Wrangler, args: readonly string[]): Promise<unknown> {
  return jsonOf(await wrangler(args), args.slice(0, 2).join(' '))
}

function jsonOf(ran: Ran, command: string): unknown {
  const json = jsonIn(must(ran).output)
  if (json === undefined) throw new DeployError(unreadable(command))
  return json
}

/** wrangler may print a warning before its JSON. */
function jsonIn(output: string): unknown {
  const start = output.search(/^[[{]/m)
  if (start === -1) return undefined
  try {
    return JSON.parse(output.slice(start))
  } catch {
    return undefined
  }
}

function unreadable(command: string): { what: string; next: string } {
  return {
    what: `wrangler ${command} answers in a form that this program does not know`,
    next: 'npm ci brings back the version of wrangler that it was written for',
  }
}

function member(value: unknown, name: string): unknown {
  return isObject(value) ? own(value, name) : undefined
}

function objectsIn(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter((entry): entry is JsonObject => isObject(entry)) : []
}

export function textIn(value: unknown, name: string): string {
  const text = member(value, name)
  return typeof text === 'string' ? text : ''
}
