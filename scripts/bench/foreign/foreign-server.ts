/**
 * Other servers for benchmarks and tests, all in this process: each has a port, a name by it and a key, and answers over TLS.
 * Nothing is stored and little is checked: what they cost is not to be measured.
 */
import { hash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import { type AddressInfo, createServer as createSilentServer, type Server as SilentServer } from 'node:net'
import { join } from 'node:path'

import { parseServerName, type ServerName } from '../../../worker/protocol/identifiers/server-name.ts'
import type { JsonObject } from '../../../worker/protocol/json/json.ts'
import { encodeBase64Unpadded } from '../../../worker/protocol/signing/base64.ts'
import type { SigningKey } from '../../../worker/protocol/signing/crypto.ts'
import { signingKeyOf } from '../../../worker/protocol/signing/keys.ts'
import { signatureOf, signJson } from '../../../worker/protocol/signing/sign-json.ts'
import { nodeCrypto } from '../../../worker/node-crypto.ts'
import { plain } from '../client.ts'

const tls = join(import.meta.dirname, '../../../test/fixtures/tls')
/** The authority that every foreign server's certificate is by. */
export const foreignAuthority = join(tls, 'ca.pem')

export interface ForeignRequest {
  readonly method: string
  readonly url: URL
  /** The port of the server that was asked. */
  readonly server: ForeignServer
  readonly body: () => Promise<Buffer>
}
/** Undefined: not found. An answer may write to the response itself, and returns `'answered'` then. */
export type ForeignHandler = (
  asked: ForeignRequest,
  response: ServerResponse,
) => JsonObject | 'answered' | undefined | Promise<JsonObject | 'answered' | undefined>

export interface ForeignServer {
  readonly name: ServerName
  readonly key: SigningKey
}

/** The key of a server: always the same for the same name. */
function keyOf(name: string): SigningKey {
  return signingKeyOf('ed25519:1', hash('sha256', name, 'buffer'))
}

export class ForeignServers {
  readonly #listening = new Map<ServerName, Server | SilentServer>()
  readonly #handler: ForeignHandler

  constructor(handler: ForeignHandler) {
    this.#handler = handler
  }

  /** One more server that answers. */
  async start(): Promise<ForeignServer> {
    const options = { key: readFileSync(join(tls, 'server.key')), cert: readFileSync(join(tls, 'server.pem')) }
    let server: ForeignServer | undefined
    const listening = createServer(options, (request, response) => {
      if (server) void this.#answer(server, request, response)
    })
    server = await this.#listen(listening)
    return server
  }

  /** From now on it takes connections and says nothing, as a dead one behind a firewall does. */
  async die({ name }: ForeignServer): Promise<void> {
    const port = portOf(this.#listening.get(name)?.address() ?? null)
    await this.#stop(name)
    await this.#listen(
      createSilentServer((socket) => socket.on('error', () => undefined)),
      port,
    )
  }

  end(): void {
    for (const name of this.#listening.keys()) void this.#stop(name)
  }

  async #stop(name: ServerName): Promise<void> {
    const listening = this.#listening.get(name)
    if (!listening) return
    const closed = new Promise((resolve) => listening.close(resolve))
    if ('closeAllConnections' in listening) {
      listening.closeAllConnections()
      await closed
    } else listening.unref()
  }

  async #listen(listening: Server | SilentServer, port = 0): Promise<ForeignServer> {
    listening.listen(port, '127.0.0.1')
    await once(listening, 'listening')
    const name = parseServerName(`127.0.0.1:${portOf(listening.address())}`)
    if (!name) throw new Error('no name')
    this.#listening.set(name, listening)
    return { name, key: keyOf(name) }
  }

  async #answer(server: ForeignServer, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'https://foreign')
    const body = async (): Promise<Buffer> => {
      const chunks: Buffer[] = []
      for await (const chunk of request) if (Buffer.isBuffer(chunk)) chunks.push(chunk)
      return Buffer.concat(chunks)
    }
    const answer =
      url.pathname === '/_matrix/key/v2/server'
        ? keysOf(server)
        : await this.#handler({ method: request.method ?? 'GET', url, server, body }, response)
    if (answer === 'answered') return
    response.writeHead(answer ? 200 : 404, { 'Content-Type': 'application/json' })
    response.end(JSON.stringify(answer ?? { errcode: 'M_NOT_FOUND', error: 'nothing here' }))
  }
}

function portOf(address: AddressInfo | string | null): number {
  if (typeof address !== 'object' || address === null) throw new Error('no port')
  return address.port
}

function keysOf({ name, key }: ForeignServer): JsonObject {
  const keys = {
    server_name: name,
    valid_until_ts: Date.now() + 86_400_000,
    verify_keys: { [key.keyId]: { key: encodeBase64Unpadded(key.publicKey) } },
    old_verify_keys: {},
  }
  return signJson(keys, name, key, nodeCrypto)
}

/** A request of a foreign server to ours, which is `destination` and listens at `base`. Fails unless it is answered with 200. */
export async function askAs(
  { name, key }: ForeignServer,
  { base, destination }: { readonly base: string; readonly destination: string },
  method: string,
  path: string,
  content: JsonObject,
): Promise<unknown> {
  const signed = signJson({ method, uri: path, origin: name, destination, content }, name, key, nodeCrypto)
  const signature = encodeBase64Unpadded(signatureOf(signed, name, key.keyId) ?? new Uint8Array())
  const header = `X-Matrix origin="${name}",destination="${destination}",key="${key.keyId}",sig="${signature}"`
  return (await plain(base, method, path, content, { Authorization: header })).json
}
