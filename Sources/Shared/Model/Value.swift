/// One field's value, as SQLite stores it. `null` is a value like any other: it can be written, merged and disputed.
package enum Value: Hashable, Sendable {
    case null
    case integer(Int64)
    case real(Double)
    case text(String)

    /// What a person reads; empty for null.
    package var shown: String {
        switch self {
        case .null: ""
        case .integer(let value): String(value)
        case .real(let value): String(value)
        case .text(let value): value
        }
    }

    package var isNull: Bool { self == .null }
}

extension Value {
    /// A strict order that does not depend on who holds the value: null, integers, reals, then texts by bytes.
    package func precedes(_ other: Value) -> Bool {
        switch (self, other) {
        case (.integer(let a), .integer(let b)): a < b
        case (.real(let a), .real(let b)): a.bitPattern < b.bitPattern
        case (.text(let a), .text(let b)): a.utf8.lexicographicallyPrecedes(b.utf8)
        default: rank < other.rank
        }
    }

    private var rank: Int {
        switch self {
        case .null: 0
        case .integer: 1
        case .real: 2
        case .text: 3
        }
    }
}
