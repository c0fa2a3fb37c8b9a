// A parent that does not know who asks: it was put back from a backup of before this replica joined, or took its last keys.
//
// An incarnation that it knows introduces the present one. It knows none: the statement that it gave at the enrolment is shown by the
// site that stands in it, the parent enrols that one again (Hub/Receive/EnrolledAgain.swift), and all goes on as with any parent that
// was put back.

import Foundation

extension SyncSession {
    /// Whether the last call failed because the parent does not know the site.
    var isUnknown: Bool { client.lastRefusal?.code == .notEnrolled }

    /// Shows the statement of enrolment, signed by the site that it names: the present one, or one before it.
    ///
    /// - Throws: `Failure(.refusedByPeer)` where this home has no statement, or not the keys to it.
    func enrolAgain() async throws(Failure) {
        guard let shown = SignedEnrolment.load(replica.directory), let enrolled = shown.claimed?.keys?.site else {
            throw Failure(
                .refusedByPeer,
                "The hub does not know this site (it may have been put back from an old backup), and this home has no readable enrolment.json to show.",
                next: "Nothing is lost: ask for a new invite (of a school: for the scope in `zzsync status --json`), move parent.json away and join again; "
                    + "all that was entered stays and is sent.")
        }
        guard let keys = ([replica.keys] + Incarnation.older(replica.keysPath)).first(where: { $0.site == enrolled }) else {
            throw Failure(
                .refusedByPeer, "The hub does not know this site, and the keys of site \(enrolled), which it had enrolled, are not in this home.",
                next: "Nothing is lost. Put keys.json back from the home's backup, then sync again.")
        }
        try await client.signing(with: keys).enrolAgain(shown)
    }
}
