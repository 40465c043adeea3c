/** The federation port: TLS in front of the Worker's plain socket. */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { createServer, type Server } from 'node:tls'

import { messageOf } from './data-folder.ts'
import { StartError } from './start-error.ts'

interface FederationPort {
  readonly port: number
  readonly cert: string
  readonly key: string
}

/** Listens on bind:port and passes every connection on to the Worker at bind:targetPort. */
export async function listenTls(federation: FederationPort, bind: string, targetPort: number): Promise<Server> {
  const server = createServer({ cert: read(federation.cert), key: read(federation.key) }, (secure) => {
    const plain = connect(targetPort, bind)
    secure.pipe(plain).pipe(secure)
    secure.on('error', () => plain.destroy())
    plain.on('error', () => secure.destroy())
    secure.on('close', () => plain.destroy())
    plain.on('close', () => secure.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new StartError(`port ${federation.port}: ${messageOf(error)}`)))
    server.listen(federation.port, bind, resolve)
  })
  return server
}

function read(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new StartError(`${file} cannot be read: ${messageOf(error)}`)
  }
}
