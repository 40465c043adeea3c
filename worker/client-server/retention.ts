/**
 * What this server says of how long messages are kept. MSC1763 (unstable); Element Web asks for it every few hours, and takes
 * a 404 for a server that keeps them for ever.
 */
import { retentionConfiguration } from '#protocol/retention.ts'

import { operation } from '../operation.ts'
import { refuse } from '../refusal.ts'

export const getRetentionConfiguration = operation(
  'GET /_matrix/client/unstable/org.matrix.msc1763/retention/configuration',
  { id: 'getRetentionConfiguration', auth: 'accessToken' },
  ({ settings: { retention } }) =>
    retention ? retentionConfiguration(retention) : refuse('unrecognized', 'This server keeps messages'),
)
