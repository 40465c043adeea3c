/**
 * An account at Cloudflare as wrangler shows it: answers in the form in which wrangler 4.156 gives them, from a state that
 * commands change. What a command was sent is written down.
 */
import type { Ran, Wrangler } from '../../scripts/deploy/wrangler.ts'

export interface Account {
  loggedIn: boolean
  accounts: { id: string; name: string }[]
  worker?: { vars: Record<string, string>; classes: string[]; secrets: string[] }
  databases: Record<string, Tables>
  buckets: string[]
  /** In each bucket. */
  files?: number
  /** Fails the first command that begins with this, with these words. */
  fault?: { command: string; words: string }
}

export interface Tables {
  tables: string[]
  applied: { position: number; name: string; hash: string }[]
  users: { id: string; admin: boolean }[]
  lentKey?: boolean
}

export const emptyAccount = (): Account => ({
  loggedIn: true,
  accounts: [{ id: 'a0a0', name: "Fox's account" }],
  databases: {},
  buckets: [],
})

const classes = ['RoomDO', 'UserSyncDO', 'FederationSenderDO', 'PasswordDO']
const good = (output: unknown): Ran => ({
  code: 0,
  output: typeof output === 'string' ? output : `${JSON.stringify(output, undefined, 2)}\n`,
  errors: '',
})
const failed = (words: string): Ran => ({
  code: 1,
  output: '',
  errors: `\n✘ [ERROR] ${words}\n\n\n🪵  Logs were written to "x"\n`,
})
const noWorker =
  'A request to the Cloudflare API failed.\n\n  This Worker does not exist on your account. [code: 10007]'

/** wrangler over `account`; `deploy` is told what a deployment puts there. */
export function recordedWrangler(account: Account, deploy: () => Record<string, string>) {
  const ran: string[] = []
  const inputs: string[] = []
  const wrangler: Wrangler = (args, { input } = {}) => {
    const command = args.join(' ')
    ran.push(command)
    if (input !== undefined) inputs.push(input)
    if (account.fault && command.startsWith(account.fault.command)) {
      return Promise.resolve(failed(account.fault.words))
    }
    return Promise.resolve(answer(args, command))
  }
  function answer(args: readonly string[], command: string): Ran {
    const { worker } = account
    if (command === 'whoami --json') {
      if (!account.loggedIn) return { ...good({ loggedIn: false }), code: 1 }
      return good({ loggedIn: true, authType: 'OAuth Token', email: 'fox@fox.example', accounts: account.accounts })
    }
    if (command === 'login') {
      account.loggedIn = true
      return good('Successfully logged in.')
    }
    if (command.startsWith('deployments status')) {
      const versions = [{ version_id: 'v-1', percentage: 100 }]
      return worker ? good({ id: 'd-1', source: 'wrangler', strategy: 'percentage', versions }) : failed(noWorker)
    }
    if (command.startsWith('versions view v-1')) {
      const vars = Object.entries(worker?.vars ?? {}).map(([name, text]) => ({ type: 'plain_text', name, text }))
      const objects = (worker?.classes ?? []).map((name) => ({
        type: 'durable_object_namespace',
        name: name.toUpperCase(),
        class_name: name,
      }))
      return good({ id: 'v-1', number: 1, resources: { bindings: [...vars, ...objects], script: {} } })
    }
    if (command.startsWith('secret list')) {
      return worker ? good(worker.secrets.map((name) => ({ name, type: 'secret_text' }))) : failed(noWorker)
    }
    if (command.startsWith('secret put')) {
      worker?.secrets.push(args[2] ?? '')
      return worker ? good('✨ Success! Uploaded secret') : failed(noWorker)
    }
    if (command.startsWith('secret delete')) {
      if (worker) worker.secrets = worker.secrets.filter((name) => name !== args[2])
      return worker ? good('✨ Success! Deleted secret') : failed(noWorker)
    }
    if (command === 'd1 list --json') {
      return good(
        Object.keys(account.databases).map((name) => ({ uuid: `id-of-${name}`, name, version: 'production' })),
      )
    }
    if (command.startsWith('d1 create')) {
      account.databases[args[2] ?? ''] = { tables: [], applied: [], users: [] }
      return good('✅ Successfully created DB')
    }
    if (command.startsWith('d1 time-travel info')) return good({ bookmark: '0000-1111' })
    if (command.startsWith('d1 execute')) return good([{ results: rows(args), success: true, meta: {} }])
    if (command === 'r2 bucket list') {
      const list = account.buckets.map((name) => `name:           ${name}\ncreation_date:  2026-11-21T06:00:00.000Z`)
      return good(`Listing buckets...\n${list.join('\n\n')}\n`)
    }
    if (command.startsWith('r2 bucket info')) {
      return good({ name: args[3], object_count: (account.files ?? 0).toLocaleString('en'), bucket_size: '1 kB' })
    }
    if (command.startsWith('r2 bucket create')) {
      account.buckets.push(args[3] ?? '')
      return good('✅ Created bucket')
    }
    if (command.startsWith('deploy ')) {
      account.worker = { secrets: [], classes, ...worker, vars: deploy() }
      return good('Uploaded hearth\nDeployed hearth triggers')
    }
    throw new TypeError(`nobody recorded: wrangler ${command}`)
  }
  function rows(args: readonly string[]): unknown[] {
    const database = account.databases[args[2] ?? '']
    const sql = args.at(-1) ?? ''
    if (!database) throw new TypeError('no such database')
    if (sql.includes('sqlite_master')) return database.tables.map((name) => ({ name }))
    if (sql.includes('FROM applied_migrations')) return database.applied
    if (sql.startsWith('UPDATE signing_keys')) {
      database.lentKey = false
      return []
    }
    if (sql.startsWith('SELECT user_id')) {
      const ours = /<> '([^']*)'/.exec(sql)?.[1]
      return database.users.filter(({ id }) => !id.endsWith(`:${ours}`)).map(({ id }) => ({ user_id: id }))
    }
    return [{ admins: database.users.filter(({ admin }) => admin).length, lent: database.lentKey ? 1 : 0 }]
  }
  return { wrangler, ran, inputs }
}
