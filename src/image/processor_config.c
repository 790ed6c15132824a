/* preprocessor_config.json in all its spellings. What a file leaves out has the default of its class. */
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/json.h"
#include "image/processor.h"

enum { MAX_EDGE = 16384, MAX_CONFIG_BYTES = 1 << 20 };

#define OPENAI_MEAN {0.48145466, 0.4578275, 0.40821073}
#define OPENAI_STD {0.26862954, 0.26130258, 0.27577711}
#define HALF {0.5, 0.5, 0.5}

/* `suffix`-less class names: transformers appends ImageProcessor, ImageProcessorFast, ImageProcessorPil or, once, FeatureExtractor. */
typedef struct family {
    const char *name;
    bool square; /* a plain number is both sides, else the shortest edge */
    bool crop;
    mr_resample_filter filter;
    double mean[3], std[3];
} family;

static const family families[] = {
    {"CLIP", false, true, MR_RESAMPLE_BICUBIC, OPENAI_MEAN, OPENAI_STD}, /* also what a file without a class means */
    {"Bit", false, true, MR_RESAMPLE_BICUBIC, OPENAI_MEAN, OPENAI_STD},
    {"Siglip", true, false, MR_RESAMPLE_BICUBIC, HALF, HALF},
    {"ViT", true, false, MR_RESAMPLE_BILINEAR, HALF, HALF},
};

static const char *const known_keys[] = {
    "do_resize",      "size",       "resample",  "do_center_crop", "crop_size",       "do_rescale",
    "rescale_factor", "do_normalize", "image_mean", "image_std",   "do_convert_rgb",  "image_processor_type",
    "feature_extractor_type", "processor_class", "default_to_square", "_valid_processor_keys", "data_format",
};

/* What a key that is not known asks for is not done; unless it asks for nothing. */
static mr_status refuse_unknown(const json_t *config, const char *file, mr_error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)config, key, value)
    {
        bool known = json_is_null(value) || json_is_false(value);
        for (size_t i = 0; i < sizeof known_keys / sizeof *known_keys; i++) known |= strcmp(key, known_keys[i]) == 0;
        if (!known) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"%s\" is not implemented", file, key);
    }
    return MR_OK;
}

static const family *find_family(const char *class)
{
    static const char *const suffixes[] = {"ImageProcessor", "ImageProcessorFast", "ImageProcessorPil", "FeatureExtractor"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const size_t length = strlen(families[i].name);
        if (strncmp(class, families[i].name, length) != 0) continue;
        for (size_t s = 0; s < sizeof suffixes / sizeof *suffixes; s++) {
            if (strcmp(class + length, suffixes[s]) == 0) return &families[i];
        }
    }
    return NULL;
}

static mr_status read_family(const json_t *config, const char *file, const family **out, mr_error *error)
{
    const char *class;
    MR_TRY(mr_json_string(config, "feature_extractor_type", "CLIPImageProcessor", &class, file, error));
    MR_TRY(mr_json_string(config, "image_processor_type", class, &class, file, error));
    *out = find_family(class);
    if (*out == NULL) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"image_processor_type\" %s is not implemented", file, class);
    return MR_OK;
}

static mr_status check_edge(size_t edge, const char *file, const char *key, mr_error *error)
{
    if (edge >= 1 && edge <= MAX_EDGE) return MR_OK;
    return mr_error_set(error, MR_MODEL_CORRUPT, "%s: \"%s\" must be 1 .. %d pixels", file, key, MAX_EDGE);
}

/* A number, {"shortest_edge": n} or {"height": h, "width": w}. Of these, either *shortest or *width and *height become more than 0. */
static mr_status read_size(const json_t *config, const char *key, bool square, size_t *shortest, size_t *width, size_t *height,
                           const char *file, mr_error *error)
{
    const size_t usual = 224;
    const json_t *value = json_object_get(config, key);
    *shortest = *width = *height = 0;
    if (json_is_object(value)) {
        MR_TRY(mr_json_size(value, "shortest_edge", 0, shortest, file, error));
        MR_TRY(mr_json_size(value, "width", 0, width, file, error));
        MR_TRY(mr_json_size(value, "height", 0, height, file, error));
        const size_t expected = *shortest > 0 ? 1 : 2;
        if (json_object_size(value) != expected || (*shortest > 0 && *width + *height > 0)) {
            return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"%s\" must be {\"shortest_edge\"} or {\"height\", \"width\"}", file, key);
        }
    } else {
        MR_TRY(mr_json_size(config, key, usual, shortest, file, error));
        if (square) {
            *width = *height = *shortest;
            *shortest = 0;
        }
    }
    if (*shortest > 0) return check_edge(*shortest, file, key, error);
    MR_TRY(check_edge(*width, file, key, error));
    return check_edge(*height, file, key, error);
}

static mr_status read_three(const json_t *config, const char *key, const double usual[3], float out[3], const char *file, mr_error *error)
{
    const json_t *values = json_object_get(config, key);
    for (size_t c = 0; c < 3; c++) out[c] = (float)usual[c];
    if (values == NULL || json_is_null(values)) return MR_OK;
    if (!json_is_array(values) || json_array_size(values) != 3) {
        return mr_error_set(error, MR_MODEL_CORRUPT, "%s: \"%s\" must be three numbers", file, key);
    }
    for (size_t c = 0; c < 3; c++) {
        const json_t *value = json_array_get(values, c);
        if (!json_is_number(value)) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: \"%s\" must be three numbers", file, key);
        out[c] = (float)json_number_value(value);
    }
    return MR_OK;
}

/* The reference scales in double and normalises in float. */
static mr_status read_values(const json_t *config, const family *f, mr_image_processor *p, const char *file, mr_error *error)
{
    bool rescale, normalize;
    double factor;
    float mean[3], std[3];
    MR_TRY(mr_json_bool(config, "do_rescale", true, &rescale, file, error));
    MR_TRY(mr_json_double(config, "rescale_factor", 1.0 / 255.0, &factor, file, error));
    MR_TRY(mr_json_bool(config, "do_normalize", true, &normalize, file, error));
    MR_TRY(read_three(config, "image_mean", f->mean, mean, file, error));
    MR_TRY(read_three(config, "image_std", f->std, std, file, error));
    for (size_t c = 0; c < 3; c++) {
        if (normalize && !(std[c] > 0.0f)) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: \"image_std\" must be above 0", file);
        for (int v = 0; v < 256; v++) {
            const float scaled = (float)(rescale ? v * factor : v);
            p->values[c][v] = normalize ? (scaled - mean[c]) / std[c] : scaled;
        }
    }
    return MR_OK;
}

static mr_status read_geometry(const json_t *config, const family *f, mr_image_processor *p, const char *file, mr_error *error)
{
    bool resize, crop;
    size_t filter, unused;
    MR_TRY(mr_json_bool(config, "do_resize", true, &resize, file, error));
    MR_TRY(mr_json_bool(config, "do_center_crop", f->crop, &crop, file, error));
    MR_TRY(mr_json_size(config, "resample", f->filter, &filter, file, error));
    if (filter > MR_RESAMPLE_HAMMING) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"resample\" %zu is no filter of Pillow", file, filter);
    p->filter = (mr_resample_filter)filter;
    if (resize) MR_TRY(read_size(config, "size", f->square, &p->shortest_edge, &p->resize_width, &p->resize_height, file, error));
    if (crop) {
        MR_TRY(read_size(config, "crop_size", true, &unused, &p->width, &p->height, file, error));
        if (p->width == 0) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: \"crop_size\" must be {\"height\", \"width\"}", file);
        return MR_OK;
    }
    p->width = p->resize_width;
    p->height = p->resize_height;
    if (p->width == 0) return mr_error_set(error, MR_MODEL_UNSUPPORTED, "%s: images would keep different sizes (no \"do_center_crop\")", file);
    return MR_OK;
}

static mr_status read_config(const json_t *config, mr_image_processor *out, const char *file, mr_error *error)
{
    if (!json_is_object(config)) return mr_error_set(error, MR_MODEL_CORRUPT, "%s: not a JSON object", file);
    mr_image_processor processor = {0};
    const family *f;
    MR_TRY(refuse_unknown(config, file, error));
    MR_TRY(read_family(config, file, &f, error));
    MR_TRY(read_geometry(config, f, &processor, file, error));
    MR_TRY(read_values(config, f, &processor, file, error));
    *out = processor;
    return MR_OK;
}

mr_status mr_image_processor_read(const char *directory, mr_image_processor *out, mr_error *error)
{
    char *path = mr_path_join(directory, "preprocessor_config.json");
    if (path == NULL) return mr_error_set(error, MR_OUT_OF_MEMORY, "reading %s", directory);
    json_t *config = NULL;
    mr_status status = mr_json_load(path, MAX_CONFIG_BYTES, &config, error);
    if (status == MR_NO_INPUT) status = mr_error_set(error, MR_MODEL_FILES_MISSING, "%s: no such file", path);
    if (status == MR_OK) status = read_config(config, out, path, error);
    json_decref(config);
    free(path);
    return status;
}
