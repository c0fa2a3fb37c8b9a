import Shared
import Testing

@Suite("Backoff")
struct BackoffTests {
    @Test(arguments: 1...50 as ClosedRange<UInt64>)
    func everyWaitLiesBetweenBaseAndThriceTheLast(seed: UInt64) {
        var generator = SeededGenerator(seed)
        var backoff = Backoff(baseMs: 100, capMs: 5000)
        var previous = 100
        for _ in 0..<100 {
            let wait = backoff.next(using: &generator)
            #expect(100...min(5000, previous * 3) ~= wait)
            previous = wait
        }
        backoff.reset()
        #expect(100...300 ~= backoff.next(using: &generator))
    }

    @Test func theSeedDecides() {
        func waits(_ seed: UInt64) -> [Int] {
            var generator = SeededGenerator(seed)
            var backoff = Backoff()
            return (0..<20).map { _ in backoff.next(using: &generator) }
        }
        #expect(waits(7) == waits(7))
        #expect(waits(7) != waits(8))
    }

    @Test func theHubsWishIsNotUndercutAndNotMetByAllAtOnce() {
        var generator = SeededGenerator(1)
        let waits = (0..<50).map { _ in
            var backoff = Backoff(baseMs: 1000, capMs: 2000)
            return backoff.next(atLeastMs: 17_000, using: &generator)
        }
        #expect(waits.allSatisfy { 17_000...18_000 ~= $0 })
        #expect(Set(waits).count > 40)
    }

    @Test func aHugeCapDoesNotOverflow() {
        var generator = SeededGenerator(1)
        var backoff = Backoff(baseMs: Int.max / 2, capMs: Int.max)
        for _ in 0..<10 { #expect(backoff.next(using: &generator) >= Int.max / 2) }
    }
}
