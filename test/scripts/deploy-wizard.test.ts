/** The wizard's whole course against a recorded account: from nothing, from half-way, and against what stands in its way. */
import { describe, expect, test } from 'vitest'

import { type Account, emptyAccount, recordedWrangler, type Tables } from './recorded-account.ts'
import { knownMigrations } from '../../scripts/deploy/known-migrations.ts'
import type { Target } from '../../scripts/deploy/configuration.ts'
import { deployServer, type Wishes, type World } from '../../scripts/deploy/wizard.ts'
import { hashOfMigration } from '../../worker/migration-past.ts'

const migrations = knownMigrations()
const applied = migrations.map((migration, position) => ({
  position,
  name: migration.name,
  hash: hashOfMigration(migration),
}))
const inhabited = (change: Partial<Tables> = {}): Tables => ({
  tables: ['applied_migrations', 'users', 'signing_keys'],
  applied,
  users: [{ id: '@fox:fox.example', admin: true }],
  ...change,
})
const names = { serverName: 'fox.example', publicUrl: 'https://matrix.fox.example' }
const running = (change: Partial<Account> = {}): Account => ({
  ...emptyAccount(),
  worker: {
    vars: { SERVER_NAME: names.serverName, PUBLIC_URL: names.publicUrl },
    classes: ['RoomDO', 'UserSyncDO', 'FederationSenderDO', 'PasswordDO'],
    secrets: ['REGISTRATION_SHARED_SECRET'],
  },
  databases: { hearth: inhabited() },
  buckets: ['hearth-media'],
  ...change,
})

/** Runs the wizard; `answers` are the person's, none: nobody is there. */
async function run(account: Account, wishes: Partial<Wishes> = {}, change: Partial<World> = {}, answers?: string[]) {
  const said: string[] = []
  const asked: string[] = []
  let target: Target | undefined
  const recorded = recordedWrangler(account, () => ({
    SERVER_NAME: target?.serverName ?? '',
    PUBLIC_URL: target?.publicUrl ?? '',
  }))
  const world: World = {
    wrangler: recorded.wrangler,
    migrations,
    say: (line) => said.push(line),
    ask: (question, fallback) => {
      if (!answers) return Promise.resolve(undefined)
      asked.push(question)
      return Promise.resolve(answers.shift() || fallback)
    },
    complaints: () => [],
    writeConfiguration: (wanted) => {
      target = wanted
      return 'dist/deploy/wrangler.json'
    },
    wake: () => Promise.resolve(undefined),
    firstAccountLink: (url) => Promise.resolve(`${url}/#first-account=abc`),
    examine: (name) => Promise.resolve(void said.push(`examined ${name}`)),
    newSecret: () => 'a fresh secret',
    now: () => 1_000,
    ...change,
  }
  const given: Wishes = {
    worker: 'hearth',
    serverName: undefined,
    publicUrl: undefined,
    apex: undefined,
    account: undefined,
    newSigningKey: false,
    yes: false,
    ...wishes,
  }
  let error = ''
  try {
    await deployServer(given, world)
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.message : String(thrown)
  }
  const changing = /^(?:d1 create|r2 bucket create|deploy |secret put|login)/
  return {
    ...recorded,
    said: said.join('\n'),
    asked,
    error,
    target,
    changes: recorded.ran.filter((c) => changing.test(c)),
  }
}

const flags = { ...names, yes: true }

describe('from nothing', () => {
  test('with flags: everything is made, in order, and the owner gets a link', async () => {
    const account = emptyAccount()
    const { error, changes, inputs, said, target } = await run(account, flags)
    expect(error).toBe('')
    expect(changes).toEqual([
      'd1 create hearth',
      'r2 bucket create hearth-media',
      'deploy --config dist/deploy/wrangler.json',
      'secret put REGISTRATION_SHARED_SECRET --name hearth',
    ])
    // The secret goes by standard input: command lines are public on a machine.
    expect(inputs).toEqual(['a fresh secret'])
    expect(target).toEqual({ worker: 'hearth', ...names, databaseId: 'id-of-hearth', routes: [] })
    expect(said).toContain('https://matrix.fox.example/#first-account=abc')
    expect(said).toContain('{"m.server":"matrix.fox.example:443"}')
    expect(said).toContain('examined fox.example')
    expect(said).toContain('type fox.example')
  })

  test('with a person: the name is explained, bad names are asked for again, nothing is made before the yes', async () => {
    const answers = ['https://fox.example', '1.2.3.4', 'fox.example', '', 'yes', 'yes']
    const { error, asked, said, target } = await run(emptyAccount(), {}, {}, answers)
    expect(error).toBe('')
    expect(said).toContain('It is for ever')
    expect(said).toContain('give the bare domain')
    expect(said).toContain('a server name must outlive the machine')
    expect(asked.filter((question) => question === 'Server name')).toHaveLength(3)
    expect(target?.routes).toEqual([{ pattern: 'fox.example/.well-known/matrix/*', zone: 'fox.example' }])
    const refused = await run(emptyAccount(), {}, {}, ['fox.example', '', 'no', 'no'])
    expect(refused.changes).toEqual([])
    expect(refused.error).toContain('not confirmed; nothing was made')
  })

  test('where the name itself is the address, there is nothing to delegate', async () => {
    const { target, said } = await run(emptyAccount(), { ...flags, publicUrl: 'https://fox.example', apex: 'route' })
    expect(target?.routes).toEqual([])
    expect(said).not.toContain('well-known')
  })

  test('who is not logged in may do so on the way', async () => {
    const { error, changes } = await run({ ...emptyAccount(), loggedIn: false }, names, {}, ['yes', 'no', 'yes'])
    expect(error).toBe('')
    expect(changes[0]).toBe('login')
  })
})

describe('again', () => {
  test('a running server needs no flags: its names come from the account, and a way back is named first', async () => {
    const { error, changes, said, target, ran } = await run(running())
    expect(error).toBe('')
    expect(target).toMatchObject(names)
    expect(changes).toEqual(['deploy --config dist/deploy/wrangler.json'])
    expect(said).toContain('npx wrangler d1 time-travel restore hearth --bookmark=0000-1111')
    expect(said).toContain('npx wrangler rollback --name hearth')
    expect(ran.indexOf('d1 time-travel info hearth --json')).toBeLessThan(ran.indexOf(changes[0] ?? ''))
    expect(said).toContain('There is an administrator')
  })

  test('the secret of a backup that was cut off is not left behind in silence', async () => {
    const account = running()
    account.worker?.secrets.push('BACKUP_SECRET')
    const { error, said } = await run(account)
    expect(error).toBe('')
    expect(said).toContain('npx wrangler secret delete BACKUP_SECRET --name hearth')
    expect((await run(running())).said).not.toContain('BACKUP_SECRET')
  })

  test('a database that is gone is made anew, for a backup to be restored into', async () => {
    const account = running({ databases: { hearth: { tables: [], applied: [], users: [] } } })
    expect(await run(account)).toMatchObject({ error: '', target: names })
  })

  test.each(['d1 create', 'r2 bucket create', 'deploy ', 'secret put'])(
    'stopped at %s, it goes on',
    async (command) => {
      const account: Account = { ...emptyAccount(), fault: { command, words: 'fetch failed' } }
      const first = await run(account, flags)
      expect(first.error).toContain("Cloudflare's API cannot be reached")
      expect(first.error).toContain('npm run deploy again')
      delete account.fault
      const second = await run(account, flags)
      expect(second.error).toBe('')
      expect(second.said).toContain('#first-account=')
      const made = [...first.changes, ...second.changes].filter((change) => change === 'd1 create hearth')
      expect(made).toHaveLength(command === 'd1 create' ? 2 : 1)
    },
  )

  test('a domain without a certificate yet: what is done, what to wait for', async () => {
    const account = emptyAccount()
    const { error } = await run(account, flags, { wake: () => Promise.resolve('getaddrinfo ENOTFOUND') })
    expect(error).toContain('is deployed, but https://matrix.fox.example does not answer yet: getaddrinfo ENOTFOUND')
    expect(error).toContain('some minutes')
    expect((await run(account)).said).toContain('#first-account=')
  })

  test('what a Deploy button left without a name is taken over', async () => {
    const account = running({ databases: { hearth: { tables: [], applied: [], users: [] } } })
    if (account.worker) account.worker.vars = { REGISTRATION: 'closed' }
    expect(await run(account, flags)).toMatchObject({ error: '', target: names })
  })
})

const hostile: [what: string, account: Account, wishes: Partial<Wishes>, message: string, next: string][] = [
  ['not logged in', { ...emptyAccount(), loggedIn: false }, flags, 'not logged in', 'npx wrangler login'],
  [
    'several accounts',
    { ...emptyAccount(), accounts: [...emptyAccount().accounts, { id: 'b1', name: 'Den' }] },
    flags,
    "several accounts: Fox's account (a0a0), Den (b1)",
    '--account ID',
  ],
  ['a foreign account', emptyAccount(), { ...flags, account: 'zz' }, 'no account zz', '--account'],
  ['no name', emptyAccount(), {}, 'nobody is there to be asked', 'give --server-name'],
  ['a bad name', emptyAccount(), { ...flags, serverName: 'Fox.example' }, 'capital letters', '--server-name'],
  ['a bad address', emptyAccount(), { ...flags, publicUrl: 'https://x.example:8448' }, 'no port', '--public-url'],
  [
    'a foreign Worker',
    running({ worker: { vars: {}, classes: ['Counter'], secrets: [] } }),
    flags,
    'has a Worker hearth already, which is no homeserver',
    '--worker NAME',
  ],
  ['another name', running(), { ...flags, serverName: 'owl.example' }, 'is the server fox.example', '--worker NAME'],
  [
    "another server's database",
    { ...emptyAccount(), databases: { hearth: inhabited({ users: [{ id: '@owl:owl.example', admin: true }] }) } },
    flags,
    'belongs to the server owl.example',
    '--server-name owl.example',
  ],
  [
    'a foreign database',
    { ...emptyAccount(), databases: { hearth: { tables: ['orders'], applied: [], users: [] } } },
    flags,
    'belongs to something else: it has the table orders',
    '--worker NAME',
  ],
  [
    'a foreign bucket',
    { ...emptyAccount(), buckets: ['hearth-media'], files: 1234 },
    flags,
    'belongs to something else: it holds 1234 files',
    '--worker NAME',
  ],
  [
    'a newer database',
    running({
      databases: { hearth: inhabited({ applied: [...applied, { position: 99, name: '0099_later', hash: 'x' }] }) },
    }),
    {},
    'A newer version of this program',
    'git pull',
  ],
  [
    'another past',
    running({ databases: { hearth: inhabited({ applied: [{ position: 0, name: '0000_accounts', hash: 'other' }] }) } }),
    {},
    'built by another migration 0000_accounts',
    'nothing was changed',
  ],
  ['a lost database', running({ databases: {} }), {}, 'its database of that name is gone', 'npm run restore'],
  [
    'a lost signing key',
    running({ databases: { hearth: inhabited({ lentKey: true }) } }),
    {},
    'SIGNING_KEY is not there any more',
    '--new-signing-key',
  ],
]

describe('what stands in the way: a sentence, a way on, and nothing changed', () => {
  test.each(hostile)('%s', async (_what, account, wishes, message, next) => {
    const { error, changes } = await run(account, wishes)
    expect(error).toContain(message)
    expect(error).toContain(next)
    expect(error.split('\n')).toHaveLength(2)
    expect(changes).toEqual([])
  })

  test('a lost signing key can be given up', async () => {
    const account = running({ databases: { hearth: inhabited({ lentKey: true }) } })
    const { error, said } = await run(account, { newSigningKey: true })
    expect(error).toBe('')
    expect(said).toContain('The lost signing key is ended')
    expect(account.databases.hearth?.lentKey).toBe(false)
  })

  test.each<[command: string, words: string, message: string]>([
    ['d1 list', 'Authentication error [code: 10000]', 'this login may not do that'],
    ['whoami', 'fetch failed', "Cloudflare's API cannot be reached"],
    ['r2 bucket list', 'Please enable R2 through the Cloudflare Dashboard. [code: 10042]', 'R2, where media is kept'],
    ['deploy ', 'Could not find zone for `matrix.fox.example`.', 'is not a zone of this account'],
    [
      'deploy ',
      'Hostname already has externally managed DNS records. [code: 100117]',
      'something else answers at the host',
    ],
    ['deploy ', 'Your Worker exceeded the size limit of 3 MiB. [code: 10027]', 'larger than the plan'],
    ['d1 create', 'You have reached the limit of databases [code: 7406]', 'as many databases'],
    ['deploy ', 'A thing nobody foresaw [code: 4711]', 'A thing nobody foresaw [code: 4711]'],
  ])('%s says %s', async (command, words, message) => {
    const { error } = await run({ ...emptyAccount(), fault: { command, words } }, flags)
    expect(error).toContain(message)
    // wrangler's own words are never swallowed.
    expect(error).toContain(words)
    expect(error).toMatch(/\n {2}→ ./)
  })
})
