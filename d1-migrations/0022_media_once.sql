ALTER TABLE `media` ADD `picture` text;--> statement-breakpoint
CREATE INDEX `media_by_hash` ON `media` (`sha256`,`size`) WHERE "media"."storage_key" IS NOT NULL;