// What a child can hold against its hub: a statement of what the hub has of it.

/// `GET /v1/receipt/{scope}`: what a hub holds of this child, to print and keep. Signed like every answer.
package struct Receipt: Codable, Sendable {
    package var hub: String
    package var scope: String
    package var site: String
    /// Held: checked, stored, fsynced. Merged: judged. Forwarded: acknowledged by the hub's own parent (nil at the top).
    package var received: Int64
    package var merged: Int64
    package var forwarded: Int64?
    /// Of the changes up to `merged`, those that lie in quarantine: first and last of each range; nil where none does.
    package var quarantined: [[Int64]]?
    /// Digest per form (id → hex) of all living rows of the scope, at `position`.
    package var digests: [String: String]
    package var position: Int64
    /// Milliseconds since 1970 by the hub's clock.
    package var clock: Int64
    package init(
        hub: String, scope: String, site: String, received: Int64, merged: Int64, forwarded: Int64?, quarantined: [[Int64]]?,
        digests: [String: String], position: Int64, clock: Int64
    ) {
        self.quarantined = quarantined
        self.hub = hub
        self.scope = scope
        self.site = site
        self.received = received
        self.merged = merged
        self.forwarded = forwarded
        self.digests = digests
        self.position = position
        self.clock = clock
    }
}
