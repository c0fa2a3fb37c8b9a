// Other versions of the catalogue, made from the embedded files as a province would make them: a field more, a form more, groups
// cut differently.

@testable import Shared

enum CatalogueVariants {
    static let present = Embedded.catalogue
    static let form = "general.student.attribute"

    /// A field more in 学生基本属性, of number 40.
    static func withField() throws -> Catalogue {
        try edited(form) { $0 + field(40, "mother_tongue", "母语") }
    }

    /// A form more, of number 70, whose names are not known to the present version.
    static func withForm() throws -> Catalogue { try CatalogueLoader.compile(CatalogueLoader.embeddedFiles() + [hobbies]) }

    /// A field and a form more.
    static func withBoth() throws -> Catalogue {
        try CatalogueLoader.compile(files(form) { $0 + field(40, "mother_tongue", "母语") } + [hobbies])
    }

    /// 家庭现住址所在地 and 家庭现住址 merge together, each alone in the present version.
    static func regrouped() throws -> Catalogue {
        try edited(form) { text in
            ["home_region", "home_address"].reduce(text) { $0.replacing("\nid = \"\($1)\"\n", with: "\nid = \"\($1)\"\ngroup = \"home\"\n") }
        }
    }

    static func field(_ number: Int, _ id: String, _ title: String, type: String = "text", more: String = "") -> String {
        """


        [[field]]
        number = \(number)
        id = "\(id)"
        title = "\(title)"
        type = "\(type)"
        owner = "school"
        policy = "manual"
        privacy = "internal"
        status = "provisional"
        \(more)
        """
    }

    private static let hobbies = CatalogueFile(
        name: "forms/general.student.hobby.toml",
        text: """
            id = "general.student.hobby"
            number = 70
            module = "综合信息"
            section = "学生信息"
            title = "学生特长"
            period = "continuous"
            key = ["hobby_number"]
            prerequisites = []
            [levels]
            [example]
            hobby_number = "01"
            hobby = "书法"
            years = 3
            """ + field(1, "hobby_number", "特长编号") + field(2, "hobby", "特长") + field(3, "years", "年数", type: "integer"))

    static func edited(_ form: String, _ edit: (String) -> String) throws -> Catalogue {
        try CatalogueLoader.compile(files(form, edit))
    }

    private static func files(_ form: String, _ edit: (String) -> String) -> [CatalogueFile] {
        CatalogueLoader.embeddedFiles().map { file in
            file.name == "forms/\(form).toml" ? CatalogueFile(name: file.name, text: edit(file.text)) : file
        }
    }
}
