/** Where Prometheus asks a local server: a port of its own, on this machine only, since the counters are nobody else's. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'

import { messageOf } from '../command-line.ts'
import { StartError } from './start-error.ts'

export interface MetricsPort {
  /** With this, the Worker tells its counters. New at every start; it never leaves this machine. */
  readonly token: string
  close(): void
}

/** Answers `/metrics` on `port` with what the server at `server` has counted. */
export async function listenMetrics(port: number, server: string): Promise<MetricsPort> {
  const token = randomBytes(24).toString('base64url')
  const listener = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') return void response.writeHead(404).end()
    fetch(`${server}/_hearth/metrics`, { headers: { Authorization: `Bearer ${token}` } })
      .then(async (told) => {
        const text = await told.text()
        response.writeHead(told.status, { 'Content-Type': 'text/plain; version=0.0.4' }).end(text)
      })
      .catch(() => response.writeHead(503).end())
  })
  await new Promise<void>((resolve, reject) => {
    listener.once('error', (error) =>
      reject(new StartError(`cannot listen on port ${port} for --metrics-port: ${messageOf(error)}`)),
    )
    listener.listen(port, '127.0.0.1', resolve)
  })
  return {
    token,
    close: () => {
      listener.close()
      listener.closeAllConnections()
    },
  }
}
