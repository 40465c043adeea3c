/** The world as `npm run doctor` sees it, from any machine. */
import { resolveSrv } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request, type RequestOptions } from 'node:https'
import { rootCertificates, TLSSocket } from 'node:tls'

import type { Asked, Reply, Silence, Surroundings } from '../../worker/doctor/surroundings.ts'
import { nobleCrypto } from '../../worker/protocol/signing/noble-crypto.ts'

export interface RealOptions {
  /** File of further authorities to trust, PEM. */
  readonly ca?: string | undefined
  /** Where to connect instead: `host:port` → `address:port`. */
  readonly connectTo?: ReadonlyMap<string, string>
}

const limits = { timeoutMs: 15_000, maxBytes: 256 * 1024 }

export function realSurroundings({ ca, connectTo = new Map() }: RealOptions): Surroundings {
  const authorities = ca === undefined ? undefined : [...rootCertificates, readFileSync(ca, 'utf8')]
  return {
    ask: (what) => ask(what, authorities, connectTo),
    async srv(name) {
      try {
        const records = await resolveSrv(name)
        const [best] = records.toSorted((a, b) => a.priority - b.priority || b.weight - a.weight)
        return best && best.name !== '' ? { target: best.name, port: best.port } : undefined
      } catch {
        return undefined
      }
    },
    now: Date.now,
    crypto: nobleCrypto,
  }
}

function ask(what: Asked, ca: string[] | undefined, connectTo: ReadonlyMap<string, string>): Promise<Reply | Silence> {
  const url = new URL(what.url)
  const port = url.port || (url.protocol === 'http:' ? '80' : '443')
  const elsewhere = connectTo.get(`${url.hostname}:${port}`)?.split(':')
  const tlsName = what.tlsName ?? url.hostname.replace(/^\[|\]$/g, '')
  const options: RequestOptions = {
    host: elsewhere?.[0] ?? url.hostname.replace(/^\[|\]$/g, ''),
    port: elsewhere?.[1] ?? port,
    path: url.pathname + url.search,
    headers: { Host: what.hostHeader ?? url.host, Accept: 'application/json', ...what.headers },
    servername: /^[\d.]+$|:/.test(tlsName) ? '' : tlsName,
    // Judged by ourselves, so that one bad certificate does not hide everything behind it.
    rejectUnauthorized: false,
    ...(ca && { ca }),
    timeout: limits.timeoutMs,
    agent: false,
  }
  return new Promise((resolve) => {
    const call = (url.protocol === 'http:' ? httpRequest : request)(options, (response) => {
      const { socket } = response
      const tlsFault = socket instanceof TLSSocket && !socket.authorized ? String(socket.authorizationError) : undefined
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > limits.maxBytes) call.destroy(new Error(`the answer is over ${limits.maxBytes} bytes`))
        else chunks.push(chunk)
      })
      response.on('end', () => {
        const entries = Object.entries(response.headers).map(([name, value]) => [name, String(value)])
        const body = Buffer.concat(chunks).toString()
        resolve({ ok: true, status: response.statusCode ?? 0, headers: Object.fromEntries(entries), body, tlsFault })
      })
    })
    call.once('timeout', () => call.destroy(new Error(`no answer within ${limits.timeoutMs / 1000} s`)))
    call.once('error', (error) => resolve({ ok: false, message: error.message }))
    call.end()
  })
}
