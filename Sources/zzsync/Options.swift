import ArgumentParser
import Foundation
import Node
import Shared

/// Options of every verb.
struct Options: ParsableArguments {
    @Option(help: "Folder of the node or hub (or ZZSYNC_HOME).")
    var home: String?

    @Option(name: .customLong("as"), help: "Author of what is written (or ZZSYNC_USER; else the login name).")
    var author: String?

    @Flag(help: "One JSON document on standard output, nothing else.")
    var json = false

    @Option(help: "Folder of a catalogue to use instead of the built-in one (or ZZSYNC_CATALOGUE).")
    var catalogue: String?

    private var environment: [String: String] { ProcessInfo.processInfo.environment }

    func directory() throws(Failure) -> String {
        guard let home = home ?? environment["ZZSYNC_HOME"], !home.isEmpty else {
            throw Failure(.usage, "No home folder is named.", next: "Add --home DIR, or set ZZSYNC_HOME.")
        }
        return home
    }

    var user: String {
        if let name = author ?? environment["ZZSYNC_USER"], !name.isEmpty { return name }
        return NSUserName().isEmpty ? "unknown" : NSUserName()
    }

    /// Named folder, else the home's own, else what the binary holds.
    func loadCatalogue() throws(Failure) -> Catalogue {
        if let folder = catalogue ?? environment["ZZSYNC_CATALOGUE"] { return try CatalogueLoader.load(directory: folder) }
        if let home = home ?? environment["ZZSYNC_HOME"], FileManager.default.fileExists(atPath: home + "/catalogue/forms") {
            return try CatalogueLoader.load(directory: home + "/catalogue")
        }
        return try CatalogueLoader.embedded()
    }

    func openNode() throws(Failure) -> NodeHome {
        let (node, repairs) = try NodeHome.open(directory(), catalogue: loadCatalogue())
        for repair in repairs { Terminal.error("zzsync: \(repair)") }
        return node
    }
}

enum Terminal {
    static func error(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }

    static func line(_ text: String) {
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }

    static func json(_ value: some Encodable) {
        FileHandle.standardOutput.write(Data(WireJSON.encode(value, pretty: true) + [0x0A]))
    }

    static func time(_ seconds: Int64?) -> String {
        guard let seconds else { return "never" }
        return Date(timeIntervalSince1970: TimeInterval(seconds)).formatted(.iso8601)
    }

    static func bytes(_ count: Int) -> String {
        count < 10_000 ? "\(count) B" : "\((count + 500) / 1_000) kB"
    }
}

/// A JSON value of any shape, for output.
enum JSONValue: Encodable {
    case null, bool(Bool), number(Int64), real(Double), string(String)
    case array([JSONValue]), object([String: JSONValue])

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .real(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }

    init(_ value: Value) {
        switch value {
        case .null: self = .null
        case .integer(let value): self = .number(value)
        case .real(let value): self = .real(value)
        case .text(let value): self = .string(value)
        }
    }
}

extension Form {
    /// A row as JSON: column → value, with its id as a decimal string.
    func json(_ row: StoredRow) -> JSONValue {
        var object: [String: JSONValue] = ["id": .string(row.id.description)]
        for (field, value) in zip(fields, row.values) { object[field.id] = JSONValue(value) }
        return .object(object)
    }

    /// "f=v" words → field index and value.
    func assignments(_ words: [String], catalogue: Catalogue) throws(Failure) -> [Int: Value] {
        let normaliser = Normaliser(catalogue: catalogue)
        var values: [Int: Value] = [:]
        for word in words {
            guard let equals = word.firstIndex(of: "=") else {
                throw Failure(.usage, "'\(word)' is not of the form field=value.", next: "For example: \(fields[0].id)=...")
            }
            let index = try field(named: String(word[..<equals]))
            do throws(EntryProblem) {
                values[index] = try normaliser.value(String(word[word.index(after: equals)...]), for: fields[index])
            } catch {
                throw Failure(.refused, "\(error.message)（\(error.fix)）.", next: "Mend the value and repeat; nothing was written.")
            }
        }
        return values
    }
}
