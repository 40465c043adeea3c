/**
 * The story of encryption (test/dsl/encryption-story.ts) with one user here and the other on Synapse, both ways round.
 */
import { describe } from 'vitest'

import { type Homes, tellEncryptionStory } from '../dsl/encryption-story.ts'
import { server, whileCut, wire } from './people.ts'

const sides = [
  { one: 'Hearth', other: 'Synapse' },
  { one: 'Synapse', other: 'Hearth' },
] as const

describe.each(sides)('Alice on $one and Bob on $other', ({ one, other }) => {
  const open = async (): Promise<Homes> => {
    const [first, last] = [server(one).base, server(other).base]
    const kindAt = (base: string) => (base === first ? one : other)
    return {
      first,
      last,
      kill: (base) => wire(`kill-${kindAt(base)}`),
      start: (base) => wire(`start-${kindAt(base)}`),
      whileCut,
      end: async () => undefined,
    }
  }
  tellEncryptionStory(open, 20)
})
