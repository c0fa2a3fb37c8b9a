/// A failure that a person meets: what happened and where, what to do next, and the exit code that scripts rely on.
///
/// One type for every edge between zzsync and a person (command line, HTTP answer, log line); the codec, whose errors are
/// read by programs first, has its own `CodecError` with the byte offset, and turns into this at the edge.
package struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The exit code of the command line (README, "Exit codes").
    package enum Kind: Int32, Sendable {
        /// A rehearsal went otherwise than its file says; the simulation ends so too.
        case unmet = 1
        case usage = 2
        /// By a rule; nothing was written.
        case refused = 3
        /// Nothing lost, a retry is safe.
        case noConnection = 4
        case refusedByPeer = 5
        case damaged = 6
        /// Try later; a retry is safe.
        case busy = 7
    }

    package let kind: Kind
    /// What and where, one sentence.
    package let what: String
    /// What to do next, one sentence.
    package let next: String

    package init(_ kind: Kind, _ what: String, next: String) {
        self.kind = kind
        self.what = what
        self.next = next
    }

    package var description: String { "\(what) \(next)" }
}
