/** Numbers that look random and are the same for the same seed. */
export type Dice = (sides: number) => number

export function dice(seed: number): Dice {
  let state = (seed * 2654435761) >>> 0 || 1
  return (sides) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * sides)
  }
}
