// One way to write a point in time for people: wherever one is named, it can be searched for and compared as text.

import Foundation

/// - Parameter seconds: since 1970.
/// - Returns: as 2026-09-01T08:00:00Z.
package func shownTime(_ seconds: Int64) -> String {
    Date(timeIntervalSince1970: TimeInterval(seconds)).formatted(.iso8601)
}
