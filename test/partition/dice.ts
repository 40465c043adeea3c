/** Choices that look random and are the same for the same seed. */
export interface Dice {
  /** A whole number from 0 to one less than this. */
  below(sides: number): number
  /** True so often out of a hundred. */
  chance(percent: number): boolean
  of<T>(things: readonly T[]): T
  /** One of the names, each as often as its weight says. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name
}

export function diceOf(seed: number): Dice {
  let state = (seed * 2_654_435_761 + 1_013_904_223) >>> 0
  // Mulberry32.
  const random = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (sides: number) => Math.floor(random() * sides)
  return {
    below,
    chance: (percent) => random() * 100 < percent,
    of(things) {
      const thing = things[below(things.length)]
      if (thing === undefined) throw new Error('nothing to choose from')
      return thing
    },
    weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
      const names: Name[] = []
      for (const name in weights) names.push(...Array<Name>(weights[name]).fill(name))
      const name = names[below(names.length)]
      if (name === undefined) throw new Error('nothing to choose from')
      return name
    },
  }
}
