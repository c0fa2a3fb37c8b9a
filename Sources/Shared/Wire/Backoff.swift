// How long to wait before the next try, so that three thousand schools do not come back in the same second.

/// Decorrelated jitter: each wait is drawn between the base and three times the wait before, and capped.
///
/// Pure: the generator is the caller's, so that a simulation replays from its seed.
/// - Note: Source: M. Brooker, "Exponential Backoff and Jitter", 2015.
package struct Backoff: Sendable {
    package let baseMs: Int
    package let capMs: Int
    /// The wait given last; the base when none was given since `reset`.
    package private(set) var previousMs: Int

    /// One second, because a flapping line is often back at once; fifteen minutes, because a school day has 32 of them.
    package init(baseMs: Int = 1000, capMs: Int = 15 * 60 * 1000) {
        precondition(0 < baseMs && baseMs <= capMs, "a wait needs a base above 0 and a cap not below it")
        self.baseMs = baseMs
        self.capMs = capMs
        previousMs = baseMs
    }

    /// The next wait in milliseconds, base...cap; longer only if the hub asked for longer (`Retry-After`).
    package mutating func next(atLeastMs: Int = 0, using generator: inout some RandomNumberGenerator) -> Int {
        let (tripled, overflow) = previousMs.multipliedReportingOverflow(by: 3)
        previousMs = Int.random(in: baseMs...min(capMs, overflow ? capMs : tripled), using: &generator)
        guard atLeastMs > previousMs else { return previousMs }
        // The hub's slot is already spread by hash; the base on top keeps those of one slot apart.
        return atLeastMs + Int.random(in: 0...baseMs, using: &generator)
    }

    /// After a success.
    package mutating func reset() { previousMs = baseMs }
}
