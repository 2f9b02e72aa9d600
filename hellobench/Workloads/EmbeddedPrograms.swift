// SPDX-License-Identifier: Apache-2.0

/// The small programs that workloads compile or serve, as they are part of this program.
enum EmbeddedPrograms {
    static func content(_ name: String) -> [UInt8]? {
        switch name {
        case "Main.java": PackageResources.Main_java
        case "hello.c": PackageResources.hello_c
        case "hello.clj": PackageResources.hello_clj
        case "hello.cs": PackageResources.hello_cs
        case "hello.go": PackageResources.hello_go
        case "hello.thrift": PackageResources.hello_thrift
        case "httpd-foreground.sh": PackageResources.httpd_foreground_sh
        case "mariadb-entrypoint.sh": PackageResources.mariadb_entrypoint_sh
        case "postgres-entrypoint.sh": PackageResources.postgres_entrypoint_sh
        case "project.clj": PackageResources.project_clj
        case "rabbitmq-entrypoint.sh": PackageResources.rabbitmq_entrypoint_sh
        case "redis-entrypoint.sh": PackageResources.redis_entrypoint_sh
        case "registry.yml": PackageResources.registry_yml
        case "server.js": PackageResources.server_js
        default: nil
        }
    }
}
