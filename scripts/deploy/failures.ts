/** What wrangler's failures mean for the owner: a sentence and a way on. What is not known is passed on whole. Pure. */
import type { Ran } from './wrangler.ts'

export type FailureKind =
  | 'no_wrangler'
  | 'not_logged_in'
  | 'no_permission'
  | 'no_network'
  | 'no_worker'
  | 'no_r2'
  | 'no_zone'
  | 'taken_host'
  | 'no_workers_dev'
  | 'too_large'
  | 'too_many'
  | 'several_accounts'
  | 'other'

export interface Failure {
  readonly kind: FailureKind
  /** What is wrong. */
  readonly what: string
  /** What to do about it. */
  readonly next: string
}

/** The first that fits counts. */
const known: ReadonlyArray<readonly [RegExp, FailureKind, what: string, next: string]> = [
  [
    /CLOUDFLARE_API_TOKEN environment variable|not (?:logged in|authenticated)|Failed to fetch auth token|Authentication failed|code: (?:10001|9106|9109|6003|6111)\]/i,
    'not_logged_in',
    'Cloudflare does not know who you are',
    'npx wrangler login, or set CLOUDFLARE_API_TOKEN; then npm run deploy again',
  ],
  [
    /fetch failed|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|network connection|unable to (?:get|verify) .*certificate/i,
    'no_network',
    "Cloudflare's API cannot be reached from this machine",
    'look at the network and the proxy (HTTPS_PROXY), then npm run deploy again: it goes on where it stopped',
  ],
  [
    /More than one account available/i,
    'several_accounts',
    'this login has several accounts',
    'give --account ID; npx wrangler whoami lists them',
  ],
  [
    /code: 10042\]|enable R2/i,
    'no_r2',
    'R2, where media is kept, is not switched on in this account',
    'in the dashboard: Storage & databases → R2 → enable (it wants a payment card, also for its free part); then npm run deploy again',
  ],
  [
    /Could not find zone|code: 10082\]|zone .* (?:not found|does not exist)/i,
    'no_zone',
    'the domain of --public-url is not a zone of this account',
    'add the domain to the account (dashboard → Add a domain), pick the right account with --account, or use an address under workers.dev as --public-url',
  ],
  [
    /already has externally managed DNS records|already (?:in use|assigned|exists on)|code: (?:100117|100116|10020)\]/i,
    'taken_host',
    'something else answers at the host of --public-url: a DNS record or another Worker',
    'remove that record or domain in the dashboard, or choose another --public-url; nothing of it was changed',
  ],
  [
    /register a workers\.dev subdomain/i,
    'no_workers_dev',
    'this account has no workers.dev name yet',
    'open Workers & Pages in the dashboard once, or give a --public-url in a domain of yours',
  ],
  [
    /code: (?:10007|10090)\]|does not exist on your account/i,
    'no_worker',
    'there is no such Worker in the account',
    'npm run deploy makes it',
  ],
  [
    /code: 10027\]|exceeded the size limit/i,
    'too_large',
    'the bundle is larger than the plan of this account allows',
    'npm run deploy -- --dry-run tells its size; the paid plan allows 10 MB',
  ],
  [
    /code: (?:7406|10049)\]|limit of (?:databases|workers)|maximum number of/i,
    'too_many',
    'the account holds as many databases or Workers as its plan allows',
    'delete one that is not used any more, or change the plan',
  ],
  [
    /code: (?:10000|9103|7003|10023|10403)\]|Authentication error|not authorized|permission|\b403\b/i,
    'no_permission',
    'this login may not do that',
    'the token needs: Workers Scripts, D1, Workers R2 Storage (all: edit), Workers Routes and DNS of the zone (edit), Account Settings (read); or npx wrangler login as a member who may',
  ],
]

/** Undefined where wrangler succeeded. */
export function failureOf(ran: Ran): Failure | undefined {
  if (ran.code === 0) return undefined
  const text = wordsOf(ran)
  if (ran.code === undefined) {
    return { kind: 'no_wrangler', what: `wrangler cannot be started: ${text}`, next: 'npm install puts it there' }
  }
  const found = known.find(([pattern]) => pattern.test(text))
  if (!found) return { kind: 'other', what: `wrangler fails: ${text}`, next: 'mend that, then npm run deploy again' }
  const [, kind, what, next] = found
  // wrangler's own words stay: the translation may be wrong.
  return { kind, what: `${what} (wrangler: ${text})`, next }
}

/** wrangler's message on one line, without its decoration. */
function wordsOf({ output, errors }: Ran): string {
  const lines = `${errors}\n${output}`
    .replaceAll(new RegExp(`${String.fromCodePoint(27)}\\[[0-9;]*m`, 'g'), '')
    .split('\n')
    .map((line) => line.replace(/^[\s✘▲🪵]*(?:\[ERROR\])?\s*/u, '').trim())
  const telling = lines.filter((line) => line !== '' && !/Logs were written|^[─-]+$|wrangler [\d.]+/.test(line))
  return telling.join(' ').slice(0, 400)
}
