/**
 * The course of a deployment, from the question who you are to the link for the first account.
 *
 * Each step looks at the account first and does only what is missing, so it can be stopped anywhere and run again. Nothing
 * is changed before everything that could speak against it was read. Ends with DeployError at the first thing in the way.
 */
import { delegationOf, delegationSteps } from '../delegation/delegation.ts'
import {
  bookmarkOf,
  createBucket,
  createDatabase,
  type Deployed,
  DeployError,
  findDatabase,
  filesIn,
  hasBucket,
  must,
  putSecret,
  readDeployed,
  readLogin,
} from './account.ts'
import { bucketOf, type Target } from './configuration.ts'
import { checkDatabase, retireLostKey } from './database-check.ts'
import { aboutTheName, publicUrlFault, serverNameFault } from './names.ts'
import type { Wrangler } from './wrangler.ts'
import type { KnownMigration } from '../../worker/migration-past.ts'

/** What was given on the command line; what was not is asked for, or taken from the account. */
export interface Wishes {
  readonly worker: string
  readonly serverName: string | undefined
  readonly publicUrl: string | undefined
  /** Who serves the two files at the server name: the Worker by a route, the Worker as a whole, or another web server. */
  readonly apex: 'route' | 'elsewhere' | undefined
  readonly account: string | undefined
  readonly newSigningKey: boolean
  readonly yes: boolean
}

/** What the course needs of the world. */
export interface World {
  readonly wrangler: Wrangler
  readonly migrations: readonly KnownMigration[]
  readonly say: (line: string) => void
  /** Undefined where nobody can be asked. */
  readonly ask: (question: string, fallback: string) => Promise<string | undefined>
  /** Says what is wrong with the settings that go out with these names. */
  readonly complaints: (names: { serverName: string; publicUrl: string }) => readonly string[]
  readonly writeConfiguration: (target: Target) => string
  /** The first request, by which the Worker migrates its database. Says what went wrong. */
  readonly wake: (publicUrl: string) => Promise<string | undefined>
  readonly firstAccountLink: (publicUrl: string, secret: string) => Promise<string | undefined>
  readonly examine: (serverName: string) => Promise<void>
  readonly newSecret: () => string
  readonly now: () => number
}

const secretName = 'REGISTRATION_SHARED_SECRET'

export async function deployServer(wishes: Wishes, world: World): Promise<void> {
  const { wrangler, say } = world
  await checkLogin(wishes, world)

  const deployed = await readDeployed(wrangler, wishes.worker)
  if (deployed) refuseForeignWorker(deployed, wishes)
  const serverName = await chooseServerName(wishes, deployed, world)
  const publicUrl = await choosePublicUrl(wishes, deployed, serverName, world)
  const complaints = world.complaints({ serverName, publicUrl })
  if (complaints.length > 0) {
    throw new DeployError({ what: complaints.join('; '), next: 'change wrangler.toml, then npm run deploy again' })
  }
  const apex = await chooseApex(wishes, serverName, publicUrl, world)
  if (!deployed && !(await isConfirmed(wishes, serverName, publicUrl, world))) {
    throw new DeployError({ what: 'not confirmed; nothing was made', next: 'npm run deploy again, or with --yes' })
  }

  // Everything that could speak against it is read before anything is made.
  const known = await findDatabase(wrangler, wishes.worker)
  const state =
    known === undefined
      ? undefined
      : await checkDatabase(wrangler, { database: wishes.worker, serverName, migrations: world.migrations })
  if (deployed && state === undefined) {
    throw new DeployError({
      what: `the Worker ${wishes.worker} is there, but its database of that name is gone: accounts and the signing key were in it`,
      next:
        `with a backup: npx wrangler d1 create ${wishes.worker}, npm run deploy, then npm run restore -- --from BACKUP --worker ${wishes.worker}; ` +
        `without one, delete the Worker and begin anew: npx wrangler delete --name ${wishes.worker}`,
    })
  }
  if (state?.wantsSigningKey && !deployed?.secrets.includes('SIGNING_KEY')) {
    if (!wishes.newSigningKey) {
      throw new DeployError({
        what: 'this server signs with a key of yours, and the secret SIGNING_KEY is not there any more',
        next: `npx wrangler secret put SIGNING_KEY --name ${wishes.worker}; if it is lost: npm run deploy -- --new-signing-key`,
      })
    }
    await retireLostKey(wrangler, wishes.worker, world.now())
    say('The lost signing key is ended; the Worker makes a new one.')
  }
  if (state && !state.empty) {
    const bookmark = await bookmarkOf(wrangler, wishes.worker)
    say(`Database as it is now: bookmark ${bookmark}`)
    say(`  the way back: npx wrangler rollback --name ${wishes.worker}`)
    say(
      `  and, where the database must go back too: npx wrangler d1 time-travel restore ${wishes.worker} --bookmark=${bookmark}`,
    )
  }

  if (deployed?.secrets.includes('BACKUP_SECRET')) {
    say(
      'The secret BACKUP_SECRET is set: whoever has it can copy the whole server. Unless that is your wish, or a backup runs:',
    )
    say(`  npx wrangler secret delete BACKUP_SECRET --name ${wishes.worker}`)
  }
  const bucket = bucketOf(wishes.worker)
  const hadBucket = await hasBucket(wrangler, bucket)
  const isNew = !deployed && (!state || state.empty)
  const files = hadBucket && isNew ? await filesIn(wrangler, bucket) : 0
  if (files > 0) {
    throw new DeployError({
      what: `the bucket ${bucket} in this account belongs to something else: it holds ${files} files, and there is no server yet`,
      next: 'give --worker NAME, after which database and bucket are named too; nothing was changed',
    })
  }
  const databaseId = known ?? (await createDatabase(wrangler, wishes.worker))
  say(`Database ${wishes.worker}: ${known === undefined ? 'made' : 'there'}`)
  if (!hadBucket) await createBucket(wrangler, bucket)
  say(`Bucket ${bucket}: ${hadBucket ? 'there' : 'made'}`)

  const delegation = delegationOf(serverName, publicUrl)
  const routes = apex === 'route' && !delegation.direct ? [{ pattern: delegation.route, zone: serverName }] : []
  const target = { worker: wishes.worker, serverName, publicUrl, databaseId, routes }
  const config = world.writeConfiguration(target)
  must(await wrangler(['deploy', '--config', config], { show: true }))
  say(`Deployed: ${serverName} at ${publicUrl}`)

  // Nobody can read a secret back: while there is no administrator, a new one does no harm.
  const secret = state?.hasAdmin ? undefined : world.newSecret()
  if (secret !== undefined) await putSecret(wrangler, wishes.worker, secretName, secret)
  const silence = await world.wake(publicUrl)
  if (silence !== undefined) {
    throw new DeployError({
      what: `the Worker is deployed, but ${publicUrl} does not answer yet: ${silence}`,
      next: 'a new domain takes some minutes for its certificate; then npm run deploy again, which goes on from here',
    })
  }
  if (routes.length === 0) for (const line of delegationSteps(serverName, publicUrl)) say(line)
  await world.examine(serverName)
  await tellFirstAccount(secret, publicUrl, world)
  say(`In a client (Element, Cinny, FluffyChat …): sign in, choose another homeserver, type ${serverName}`)
  say(`  where the two files are not there yet: ${publicUrl}`)
}

async function checkLogin({ account }: Wishes, { wrangler, say, ask }: World): Promise<void> {
  let login = await readLogin(wrangler)
  if (!login && (await ask('You are not logged in to Cloudflare. Open a browser for it? (yes/no)', 'yes')) === 'yes') {
    must(await wrangler(['login'], { terminal: true }))
    login = await readLogin(wrangler)
  }
  if (!login) {
    throw new DeployError({
      what: 'you are not logged in to Cloudflare',
      next: 'npx wrangler login, or set CLOUDFLARE_API_TOKEN where no browser is; then npm run deploy again',
    })
  }
  const names = login.accounts.map(({ id, name }) => `${name} (${id})`).join(', ')
  if (account === undefined && login.accounts.length > 1) {
    throw new DeployError({ what: `this login has several accounts: ${names}`, next: 'npm run deploy -- --account ID' })
  }
  if (account !== undefined && login.accounts.length > 0 && login.accounts.every(({ id }) => id !== account)) {
    throw new DeployError({
      what: `this login has no account ${account}, but ${names}`,
      next: 'give one of these as --account',
    })
  }
  say(`Logged in${login.email === undefined ? '' : ` as ${login.email}`}: ${names}`)
}

function refuseForeignWorker({ classes, variables }: Deployed, { worker, serverName }: Wishes): void {
  if (!classes.includes('RoomDO') || !classes.includes('UserSyncDO')) {
    throw new DeployError({
      what: `the account has a Worker ${worker} already, which is no homeserver of this project`,
      next: 'choose another name: npm run deploy -- --worker NAME; nothing was changed',
    })
  }
  const name = variables.SERVER_NAME
  // What a Deploy button left behind has the example's name, or none: nothing is bound to that.
  if (serverName === undefined || !name || serverNameFault(name) !== undefined || name === serverName) return
  throw new DeployError({
    what: `the Worker ${worker} is the server ${name}, and a server cannot become ${serverName}`,
    next: `npm run deploy -- --server-name ${name}, or a second server beside it: --worker NAME`,
  })
}

async function chooseServerName({ serverName }: Wishes, deployed: Deployed | undefined, world: World): Promise<string> {
  const current = deployed?.variables.SERVER_NAME
  if (current && serverNameFault(current) === undefined) return current
  if (serverName === undefined) world.say(aboutTheName)
  return choose(world, serverName, { question: 'Server name', option: '--server-name', fallback: '' }, serverNameFault)
}

async function choosePublicUrl(
  wishes: Wishes,
  deployed: Deployed | undefined,
  name: string,
  world: World,
): Promise<string> {
  const current = deployed?.variables.PUBLIC_URL
  const given = wishes.publicUrl ?? (current && publicUrlFault(current) === undefined ? current : undefined)
  const fallback = `https://matrix.${name}`
  const wish = given ?? (wishes.yes ? fallback : undefined)
  const url = await choose(
    world,
    wish,
    { question: 'Address of the Worker', option: '--public-url', fallback },
    publicUrlFault,
  )
  return url.replace(/\/+$/, '')
}

async function chooseApex({ apex }: Wishes, name: string, url: string, world: World): Promise<'route' | 'elsewhere'> {
  if (apex !== undefined || delegationOf(name, url).direct) return apex ?? 'elsewhere'
  const question = `Is the website of ${name} at Cloudflare, in this account, so that the Worker can serve two files there? (yes/no)`
  return (await world.ask(question, 'no')) === 'yes' ? 'route' : 'elsewhere'
}

async function choose(
  { ask, say }: World,
  given: string | undefined,
  { question, option, fallback }: { question: string; option: string; fallback: string },
  fault: (value: string) => string | undefined,
): Promise<string> {
  if (given !== undefined) {
    const complaint = fault(given)
    if (complaint === undefined) return given
    throw new DeployError({ what: `${JSON.stringify(given)} ${complaint}`, next: `give another ${option}` })
  }
  for (;;) {
    const answer = await ask(question, fallback)
    if (answer === undefined) {
      throw new DeployError({ what: `${question}: nobody is there to be asked`, next: `give ${option}` })
    }
    const complaint = fault(answer)
    if (complaint === undefined) return answer
    say(`  ${JSON.stringify(answer)} ${complaint}`)
  }
}

async function isConfirmed({ yes }: Wishes, name: string, url: string, { ask }: World): Promise<boolean> {
  if (yes) return true
  return (
    (await ask(
      `People will be @someone:${name}, for ever, and the Worker answers at ${url}. Go on? (yes/no)`,
      'no',
    )) === 'yes'
  )
}

async function tellFirstAccount(
  secret: string | undefined,
  url: string,
  { say, firstAccountLink }: World,
): Promise<void> {
  if (secret === undefined) return say('There is an administrator.')
  const link = await firstAccountLink(url, secret)
  if (link === undefined) return say('There is an administrator.')
  say('Make the first account, which is the administrator\u2019s, in a browser. The link is good once, for a day:')
  say(`  ${link}`)
}
