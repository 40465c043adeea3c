/** The federation port: TLS in front of the Worker's plain socket. */
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { createSecureContext, createServer, type Server } from 'node:tls'

import { messageOf } from '../command-line.ts'
import type { FederationPort } from './options.ts'
import { StartError } from './start-error.ts'

export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** Reads the certificate and its key. Throws StartError if they cannot be read or do not fit together. */
export function readCertificate({ cert, key }: FederationPort): Certificate {
  const texts = { cert: readFile(cert), key: readFile(key) }
  try {
    createSecureContext(texts)
    return texts
  } catch (error) {
    throw new StartError(`${cert} and ${key} are no certificate and its key in PEM: ${messageOf(error)}`)
  }
}

/** Throws StartError unless the file holds certificates. */
export function checkAuthorities(file: string): void {
  if (!readFile(file).includes('-----BEGIN CERTIFICATE-----')) throw new StartError(`${file} holds no PEM certificate`)
}

/** Listens on bind:port and passes every connection on to the Worker at bind:targetPort. */
export async function listenTls(
  certificate: Certificate,
  bind: string,
  port: number,
  targetPort: number,
): Promise<Server> {
  const server = createServer(certificate, (secure) => {
    const plain = connect(targetPort, bind)
    secure.pipe(plain).pipe(secure)
    secure.on('error', () => plain.destroy())
    plain.on('error', () => secure.destroy())
    secure.on('close', () => plain.destroy())
    plain.on('close', () => secure.destroy())
  })
  // A failed handshake is the other side's affair.
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new StartError(`cannot listen on ${bind}:${port}: ${messageOf(error)}`)))
    server.listen(port, bind, resolve)
  })
  return server
}

function readFile(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new StartError(`${file} cannot be read: ${messageOf(error)}`)
  }
}
