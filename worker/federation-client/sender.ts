/** The object that sends to other servers. One shard holds every destination of a personal server. */
import type { FederationSenderDO } from '../../durable-objects/federation-sender/federation-sender-do.ts'
import type { Env } from '../env.ts'

export function federationSender(env: Env): DurableObjectStub<FederationSenderDO> {
  return env.FEDERATION_SENDER.get(env.FEDERATION_SENDER.idFromName('0'))
}
