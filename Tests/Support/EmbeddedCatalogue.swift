import Shared

/// The program's own catalogue, compiled once for all suites. One that does not compile ends the run: no test of anything
/// else would mean something then.
enum Embedded {
    static let catalogue = try! CatalogueLoader.embedded()
}
