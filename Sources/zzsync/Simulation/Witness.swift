// Somebody who follows a country while it is played, to tell its history to another: the tests let the model of the rules run it.

/// Is told of every write and decision as it is made, and where something may have been sealed, merged or pulled.
@SimulationActor protocol Witness: AnyObject {
    /// - Parameter words: group → what stands there now, of the groups that changed.
    func wrote(_ row: RowKey, _ words: [Int: String], isNew: Bool, at site: Site)
    func deleted(_ row: RowKey, at site: Site)
    func decided(_ cell: CellKey, _ word: String, at site: Site)
    func decidedLife(_ row: RowKey, isAlive: Bool, at site: Site)
    /// What this site has sealed, merged or pulled since the last look is done; the next of it has not begun.
    func look(at site: Site) throws
}

extension Country {
    func show(_ site: Site) {
        followRulings(to: site)
        guard let witness, site.isUp, !site.fuse.isBlown else { return }
        do { try witness.look(at: site) } catch { failures.append("\(site.name) cannot be followed: \(error)") }
    }
}
