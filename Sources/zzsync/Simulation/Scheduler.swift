// Virtual time: what happens in a simulated country happens in the order of one queue.
//
// Two designs: call every step of the product from a loop (then the product has to be cut into steps, and what is tested is
// the cutting), or run its own asynchronous code and hold it wherever it waits for the outside world. The second: a sync
// is the real session in a task of its own, held at every message; exactly one task runs at a time, and it is the queue that says
// which. So one seed gives one history, though the code below believes to be alone with a slow network.

import Synchronization

/// Everything of a simulation that changes belongs to this actor.
@globalActor actor SimulationActor {
    static let shared = SimulationActor()
}

/// Time by the queue; read by clocks of the product on whatever thread they are asked.
final class VirtualClock: Sendable {
    /// The first of September 2026, when the school year begins.
    static let begin: Int64 = 1_788_220_800
    private let passed = Mutex(0)
    /// Milliseconds since the simulation began.
    fileprivate(set) var milliseconds: Int {
        get { passed.withLock { $0 } }
        set { passed.withLock { $0 = newValue } }
    }
    /// Seconds since 1970, by a clock that is wrong by `skew` seconds.
    func seconds(skew: Int64) -> Int64 { Self.begin + skew + Int64(milliseconds / 1000) }
}

@SimulationActor final class Scheduler {
    private enum Step {
        case begin(@SimulationActor @Sendable () async -> Void)
        case goOn(CheckedContinuation<Void, Never>)
    }
    private struct Entry {
        let due: Int
        let step: Step
    }

    let clock = VirtualClock()
    /// Latest first.
    private var entries: [Entry] = []
    /// The loop, while a task has its turn.
    private var loop: CheckedContinuation<Void, Never>?
    /// Is called between two turns.
    var afterTurn: () -> Void = {}
    private(set) var turns = 0

    var now: Int { clock.milliseconds }

    /// Starts a task after some milliseconds.
    func start(after wait: Int, _ body: @escaping @SimulationActor @Sendable () async -> Void) {
        add(.begin(body), after: wait)
    }

    /// Ends the turn of the task in hand; it goes on when the time has come.
    func sleep(_ wait: Int) async {
        await withCheckedContinuation { (task: CheckedContinuation<Void, Never>) in
            add(.goOn(task), after: wait)
            endTurn()
        }
    }

    /// Gives turns until nothing is due before `end`, a time in milliseconds since the beginning.
    func run(until end: Int) async {
        while let next = entries.last, next.due < end {
            entries.removeLast()
            clock.milliseconds = next.due
            turns += 1
            await withCheckedContinuation { (loop: CheckedContinuation<Void, Never>) in
                self.loop = loop
                switch next.step {
                case .goOn(let task): task.resume()
                case .begin(let body):
                    Task { @SimulationActor in
                        await body()
                        self.endTurn()
                    }
                }
            }
            afterTurn()
        }
        clock.milliseconds = max(clock.milliseconds, end)
    }

    /// Gives turns until nobody waits for one; whatever starts itself again must have been told to stop.
    func runOut() async {
        while let last = entries.first { await run(until: last.due + 1) }
    }

    private func endTurn() {
        let loop = loop
        self.loop = nil
        loop!.resume()
    }

    private func add(_ step: Step, after wait: Int) {
        let due = now + max(wait, 0)
        // Of those due at the same time the first one that came is the first to go.
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].due > due { low = middle + 1 } else { high = middle }
        }
        entries.insert(Entry(due: due, step: step), at: low)
    }
}
