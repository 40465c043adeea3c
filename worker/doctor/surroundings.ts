/** What an examination needs of the world: HTTPS with a look at the certificate, DNS, a clock. Where it runs brings its own. */
import type { Crypto } from '#protocol/signing/crypto.ts'

export interface Reply {
  readonly ok: true
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
  /** Why the certificate is not to be believed for the name that was asked for. */
  readonly tlsFault: string | undefined
}

export interface Silence {
  readonly ok: false
  readonly message: string
}

export interface Asked {
  readonly url: string
  /** Value of the Host header, where it is not that of the URL. */
  readonly hostHeader?: string
  /** Name that the certificate must be valid for, where it is not that of the URL. */
  readonly tlsName?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface Surroundings {
  readonly ask: (what: Asked) => Promise<Reply | Silence>
  readonly srv: (name: string) => Promise<{ readonly target: string; readonly port: number } | undefined>
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** By which signatures are checked. */
  readonly crypto: Crypto
}
