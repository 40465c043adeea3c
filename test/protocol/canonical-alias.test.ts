/** Reading `m.room.canonical_alias` and taking aliases out of it. */
import { aliasesOf, withoutAliases } from '#protocol/canonical-alias.ts'
import { describe, expect, it } from 'vitest'

const [pub, inn] = ['#pub:example.org', '#inn:example.org']

describe('the aliases an event names', () => {
  it.each([
    [{}, []],
    [{ alias: null, alt_aliases: null }, []],
    [{ alias: '' }, []],
    [{ alias: pub }, [pub]],
    [{ alias: pub, alt_aliases: [inn, pub] }, [pub, inn]],
    [{ alt_aliases: [inn] }, [inn]],
    [{ alias: 7 }, undefined],
    [{ alias: '%pub:example.org' }, undefined],
    [{ alt_aliases: inn }, undefined],
    [{ alt_aliases: [inn, 7] }, undefined],
    [{ alt_aliases: [''] }, undefined],
  ])('in %j are %j', (content, aliases) => {
    expect(aliasesOf(content)).toEqual(aliases)
  })
})

describe('taking an alias out', () => {
  it.each([
    [{ alias: pub }, {}],
    [{ alias: pub, alt_aliases: [pub] }, {}],
    [
      { alias: pub, alt_aliases: [pub, inn], more: 1 },
      { alt_aliases: [inn], more: 1 },
    ],
    [{ alias: inn, alt_aliases: [pub] }, { alias: inn }],
    [{ alias: inn, alt_aliases: [inn] }, undefined],
    [{ alias: pub, alt_aliases: 'of another form' }, { alt_aliases: 'of another form' }],
    [{ alias: '', alt_aliases: [] }, undefined],
    [{}, undefined],
  ])('of %j leaves %j', (content, left) => {
    expect(withoutAliases(content, (alias) => alias === pub)).toEqual(left)
  })
})
