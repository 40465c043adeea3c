/** One Synapse on loopback with SQLite, which trusts our authority, may call private addresses and limits nobody. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface SynapsePlan {
  readonly python: string
  /** An empty folder for all it keeps. */
  readonly folder: string
  readonly name: string
  readonly port: number
  readonly federationPort: number
  readonly cert: string
  readonly key: string
  readonly ca: string
}

export interface RunningSynapse {
  /** Kills it without a word and waits for the end. */
  kill(): Promise<void>
}

const boundless = { per_second: 100_000, burst_count: 100_000 }

/** Resolves when it answers clients; rejects where it ends before. Starting again on the same folder goes on there. */
export async function startSynapse(plan: SynapsePlan): Promise<RunningSynapse> {
  const file = join(plan.folder, 'homeserver.json')
  writeFileSync(file, JSON.stringify(configuration(plan), undefined, 1))
  const log = createWriteStream(join(plan.folder, 'homeserver.log'), { flags: 'a' })
  const signingKey = join(plan.folder, 'signing.key')
  if (!existsSync(signingKey)) {
    writeFileSync(signingKey, `ed25519 a_1 ${randomBytes(32).toString('base64').replace('=', '')}\n`)
  }
  const args = ['-m', 'synapse.app.homeserver', '--config-path', file]
  const child = spawn(plan.python, args, { cwd: plan.folder, stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.pipe(log)
  child.stderr.pipe(log)
  // It ends with us, however we end.
  const endWithUs = () => child.kill('SIGKILL')
  process.once('exit', endWithUs)
  const ended = once(child, 'exit').then(() => process.off('exit', endWithUs))
  const running = () => child.exitCode === null && child.signalCode === null
  while (!(await answers(plan.port))) {
    if (!running()) throw new Error(`Synapse ended with ${child.exitCode}; see ${plan.folder}/homeserver.log`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return {
    kill: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

function answers(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/_matrix/client/versions`).then(
    (answer) => answer.ok,
    () => false,
  )
}

/** JSON is YAML. */
function configuration({ folder, name, port, federationPort, cert, key, ca }: SynapsePlan): object {
  const listener = (at: number, resource: string, tls: boolean) => ({
    port: at,
    bind_addresses: ['127.0.0.1'],
    type: 'http',
    tls,
    resources: [{ names: [resource] }],
  })
  return {
    server_name: name,
    public_baseurl: `http://127.0.0.1:${port}`,
    listeners: [listener(port, 'client', false), listener(federationPort, 'federation', true)],
    tls_certificate_path: cert,
    tls_private_key_path: key,
    federation_custom_ca_list: [ca],
    database: { name: 'sqlite3', args: { database: join(folder, 'homeserver.db') } },
    media_store_path: join(folder, 'media'),
    signing_key_path: join(folder, 'signing.key'),
    macaroon_secret_key: 'one',
    form_secret: 'two',
    report_stats: false,
    trusted_key_servers: [],
    suppress_key_server_warning: true,
    ip_range_blacklist: [],
    enable_registration: true,
    enable_registration_without_verification: true,
    allow_public_rooms_over_federation: true,
    room_list_publication_rules: [{ action: 'allow' }],
    bcrypt_rounds: 4,
    // Else a first sync is answered from memory for two minutes.
    caches: { sync_response_cache_duration: 0 },
    // Tries again soon after the link was cut; in the wild it waits for ten minutes.
    federation: {
      client_timeout: 10_000,
      max_short_retries: 1,
      max_short_retry_delay: 200,
      max_long_retries: 1,
      max_long_retry_delay: 200,
      destination_min_retry_interval: 500,
      destination_max_retry_interval: 1000,
    },
    // Dehydrated devices, sticky events.
    experimental_features: { msc3814_enabled: true, msc4354_enabled: true },
    rc_message: boundless,
    rc_registration: boundless,
    rc_login: { address: boundless, account: boundless, failed_attempts: boundless },
    rc_joins: { local: boundless, remote: boundless },
    rc_joins_per_room: boundless,
    rc_invites: { per_room: boundless, per_user: boundless, per_issuer: boundless },
    rc_room_creation: boundless,
    rc_key_requests: boundless,
    rc_federation: { window_size: 1000, sleep_limit: 100_000, sleep_delay: 1, reject_limit: 100_000, concurrent: 100 },
  }
}
