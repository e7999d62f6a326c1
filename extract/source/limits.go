package source

// Bounds on what an archive, an engine or a registry can make the program do. No
// image that a container runs, or that Lambda takes, comes near them.
const (
	// maxArchive is the size in bytes to which a compressed archive is unpacked.
	// Lambda takes images of 10 GB.
	maxArchive = 32 << 30
	// maxNames bounds the names and links of an archive's members, in bytes.
	maxNames = 16 << 20
	// maxLayers is the number of layers; the Docker engine allows 127.
	maxLayers = 1000
	// maxDocument bounds a manifest, index or config, in bytes: registries take
	// manifests of 4 MiB at most.
	maxDocument = 8 << 20
	// maxElements is the number of members and elements in a document, each of
	// which takes far more memory than the few bytes that it may be written with.
	maxElements = 100_000
	// maxDocuments bounds all of them in an engine's export, in bytes.
	maxDocuments = 64 << 20
	// maxTags bounds a page of a registry's tags, in bytes; some registries send
	// all, however few are asked for.
	maxTags = 1 << 20
	// maxListed is how many images or tags a message names.
	maxListed = 20
)
