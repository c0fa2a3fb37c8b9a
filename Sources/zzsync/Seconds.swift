import ArgumentParser
import Foundation

/// A number of seconds on the command line, from 0 to a year: "inf" and the like are usage errors, for no clock can add them.
struct Seconds: ExpressibleByArgument {
    let count: Double

    init(_ count: Double) { self.count = count }

    init?(argument: String) {
        guard let count = Double(argument), (0...Self.countMax).contains(count) else { return nil }
        self.count = count
    }

    var defaultValueDescription: String { count.formatted() }
    private static let countMax: Double = 366 * 86_400
}
